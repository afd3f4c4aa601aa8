#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| watersmeet_crdt_fuzz::bodies::lattice(data));
