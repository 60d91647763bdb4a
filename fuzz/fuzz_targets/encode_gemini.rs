#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tollway_fuzz::dialect::encode(tollway_fuzz::Dialect::Gemini, data));
