//! Segue from outside: end to end, and against contracts that others wrote.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in the helpers of tests a panic is the failure"
)]

mod apply;
mod chaos;
mod client_contract;
mod client_output;
mod console;
mod contract;
mod dedupe_memory;
mod deploy;
mod export_guards;
mod export_mapping;
mod export_outcomes;
mod export_pace;
mod export_preflight;
mod export_rejects;
mod export_sources;
mod export_terminal;
mod faults_jobs;
mod faults_network;
mod faults_refusals;
mod faults_source;
mod faults_unknowns;
mod fuzz_corpus;
mod golden;
mod http;
mod layering;
#[allow(unreachable_pub, reason = "the fuzzer is another crate")]
#[path = "../../fuzz/src/oracles/mod.rs"]
mod oracles;
mod reasons;
mod resume;
mod services_access;
mod services_clients;
mod services_dead;
mod services_faults;
mod services_guards;
mod services_keys;
mod services_lists;
mod services_preview;
mod services_same;
mod services_schedule;
mod services_sources;
mod services_start;
mod services_traces;
mod worker_plans;

use segue_tests::harness;
