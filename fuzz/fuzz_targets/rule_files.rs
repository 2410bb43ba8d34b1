#![no_main]

use std::env;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let command = env::var_os("VKSCAN_COMMAND").expect("VKSCAN_COMMAND is the vkscan command to run");
    vkscan_fuzz::rule_files::run(bytes, &command);
});
