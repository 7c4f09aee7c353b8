//! How records are written as text, and read from it: `torc consume` writes what `torc produce` reads.

pub mod escape;
pub mod hex;
pub mod json;
pub mod moment;

use clap::ValueEnum;

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// The value alone.
    Value,
    /// Key, key delimiter, value.
    #[value(name = "key-value", alias = "kv")]
    KeyValue,
    /// One JSON object a line, with everything; bytes that are not UTF-8 are in hex, under key_hex and value_hex.
    Json,
    /// Key, tab, value, in hex; without a key the value alone; - is null.
    Hex,
}

#[cfg(test)]
mod formats_tests;
