//! Host names, origins, addresses and paths to return to. What must hold is in the shared bodies; this file only hands them bytes.
#![no_main]

#[allow(dead_code)]
#[path = "../../crates/portway-core/tests/it/fuzz_bodies.rs"]
mod fuzz_bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::host(data));
