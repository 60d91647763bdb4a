#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tollway_fuzz::dialect::decode(tollway_fuzz::Dialect::OpenaiResponses, data));
