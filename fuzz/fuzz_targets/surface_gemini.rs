#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tollway_fuzz::surface::parse(tollway_fuzz::Surface::Gemini, data));
