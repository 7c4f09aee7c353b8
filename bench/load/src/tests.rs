//! Tests beside the modules that they are named after.

#[path = "cpu_tests.rs"]
mod cpu_tests;
#[path = "environment_tests.rs"]
mod environment_tests;
#[path = "flamegraph_tests.rs"]
mod flamegraph_tests;
#[path = "histogram_files_tests.rs"]
mod histogram_files_tests;
#[path = "pace_tests.rs"]
mod pace_tests;
#[path = "payload_tests.rs"]
mod payload_tests;
#[path = "plot_tests.rs"]
mod plot_tests;
#[path = "recorder_tests.rs"]
mod recorder_tests;
#[path = "scrape_tests.rs"]
mod scrape_tests;
#[path = "sizes_tests.rs"]
mod sizes_tests;
#[path = "table_tests.rs"]
mod table_tests;
#[path = "units_tests.rs"]
mod units_tests;
#[path = "verify_tests.rs"]
mod verify_tests;
#[path = "wire_tests.rs"]
mod wire_tests;
