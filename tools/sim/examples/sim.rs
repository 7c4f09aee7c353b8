use clap::Parser;
fn main() -> std::process::ExitCode {
    torc_sim::command::run(&torc_sim::command::Args::parse())
}
