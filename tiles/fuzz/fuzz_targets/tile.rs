#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| watersmeet_tiles_fuzz::bodies::tile(data));
