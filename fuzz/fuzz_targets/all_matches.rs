#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vkscan_fuzz::all_matches::run(bytes);
});
