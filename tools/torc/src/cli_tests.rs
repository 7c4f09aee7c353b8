use crate::cli::{Cli, Command, TopicArgs, TopicCommand};
use crate::output::Format;
use crate::serve;
use clap::{CommandFactory, Parser};
use torc_server::config::Config;

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> String {
    Cli::try_parse_from(line.split(' ')).expect_err(line).to_string()
}

fn topic(line: &str) -> TopicArgs {
    match parse(line).command {
        Some(Command::Topic(args)) => args,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn no_subcommand_means_serve_with_the_same_flags() {
    let flags = "--data-dir /d --node-id 3 --kafka 0.0.0.0:1 --metrics none --shards 2 --set num.partitions=8";
    let bare = parse(&format!("torc {flags}"));
    assert!(bare.command.is_none());
    let Some(Command::Serve(named)) = parse(&format!("torc serve {flags}")).command else { panic!("no serve") };
    let config = Config::load(&serve::sources(&bare.serve.sources)).unwrap();
    assert_eq!(config, Config::load(&serve::sources(&named.sources)).unwrap());
    assert_eq!(config.data_dir.to_str(), Some("/d"));
    assert_eq!((config.node_id, config.shards, config.num_partitions), (Some(3), Some(2), 8));
    assert_eq!(config.kafka[0].listen.to_string(), "0.0.0.0:1");
    assert_eq!(config.metrics, None);
}

#[test]
fn a_flag_with_a_bad_value_is_named_as_written() {
    let cli = parse("torc --shards many --kafka nowhere");
    let error = Config::load(&serve::sources(&cli.serve.sources)).unwrap_err().to_string();
    assert!(error.contains("--shards: ") && error.contains("--kafka: "), "{error}");
}

#[test]
fn topic_flags_stand_before_or_behind_the_verb() {
    for line in
        ["torc topic --format json --bootstrap-server h:1 list", "torc topic list --format json --bootstrap-server h:1"]
    {
        let args = topic(line);
        assert_eq!((args.format, args.bootstrap_server.as_str()), (Format::Json, "h:1"), "{line}");
    }
    assert_eq!(topic("torc topic list").bootstrap_server, "127.0.0.1:9092");
}

/// Every command below `command` that has `--bootstrap-server`, with the short name that it has there.
fn bootstraps(command: &clap::Command, path: &str, found: &mut Vec<(String, Option<char>)>) {
    let path = format!("{path} {}", command.get_name());
    let own = command.get_arguments().find(|arg| arg.get_long() == Some("bootstrap-server"));
    found.extend(own.map(|arg| (path.clone(), arg.get_short())));
    command.get_subcommands().for_each(|below| bootstraps(below, &path, found));
}

#[test]
fn whoever_asks_a_kafka_server_takes_b() {
    let (mut command, mut found) = (Cli::command(), Vec::new());
    command.build();
    bootstraps(&command, "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (path, short) in found {
        assert_eq!(short, Some('b'), "{path}");
    }
}

fn assert_said(command: &clap::Command, path: &str) {
    let path = format!("{path} {}", command.get_name());
    assert!(command.get_about().is_some(), "{path} says nothing");
    for arg in command.get_arguments() {
        let said = arg.get_help().or(arg.get_long_help());
        assert!(said.is_some_and(|said| !said.to_string().is_empty()), "{path}: {arg} says nothing");
    }
    command.get_subcommands().for_each(|below| assert_said(below, &path));
}

#[test]
fn every_command_and_option_says_what_it_does() {
    let mut command = Cli::command();
    command.build();
    assert_said(&command, "");
}

#[test]
fn settings_are_pairs() {
    let args = topic("torc topic create t --partitions 3 --config retention.ms=5ms --config a=b=c");
    let TopicCommand::Create(create) = args.command else { panic!("no create") };
    assert_eq!(create.partitions, Some(3));
    let expected = [("retention.ms".to_string(), "5".to_string()), ("a".to_string(), "b=c".to_string())];
    assert_eq!(create.config, expected);
    assert!(refused("torc topic create t --config retention.ms").contains("KEY=VALUE"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "torc topic",
        "torc topic create",
        "torc topic create t --partitions 0",
        "torc topic alter t",
        "torc topic delete",
        "torc topic list --format xml",
        "torc --shards 2 topic list",
        "torc nonsense",
        "torc serve --zookeeper",
    ] {
        refused(line);
    }
    topic("torc topic alter t --delete-config retention.ms");
}

#[test]
fn top_takes_an_address_and_an_interval() {
    let top = |line: &str| match parse(line).command {
        Some(Command::Top(args)) => (args.metrics, args.interval.as_millis(), args.once, args.format),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(top("torc top"), ("127.0.0.1:9644".to_string(), 1_000, false, Format::Table));
    let line = "torc top --metrics h:1 --interval 500ms --once --format json";
    assert_eq!(top(line), ("h:1".to_string(), 500, true, Format::Json));
    assert_eq!(top("torc top --interval 2m").1, 120_000);
    assert_eq!((top("torc top --interval 2").1, top("torc top --interval 1.5s").1), (2_000, 1_500));
    for wrong in ["0", "50ms", "x", "2h", "nan"] {
        assert!(refused(&format!("torc top --interval {wrong}")).contains("200ms"), "{wrong}");
    }
}

#[test]
fn inspectors_take_paths_and_an_offset_to_follow() {
    for line in [
        "torc wal inspect ./torc-data --entries --extents --format json",
        "torc wal inspect shard-0/wal-000001 shard-0/wal-000002 --batches",
        "torc wal inspect d --topic t --partition 3 --offset 41",
        "torc wal inspect d --group 1024 --offset 41",
        "torc snapshot inspect d --groups",
    ] {
        parse(line);
    }
    assert!(refused("torc wal inspect").contains("DIR|FILE"));
    parse("torc wal inspect d --topic t --offset 1");
    assert!(refused("torc wal inspect d --offset 1").contains("--topic <NAME>|--group <N>"));
    for wrong in ["--group 1024", "--topic t", "--topic t --group 1 --offset 1", "--group 1 --partition 0 --offset 1"] {
        refused(&format!("torc wal inspect d {wrong}"));
    }
}

#[test]
fn a_configuration_is_checked_or_shown() {
    for line in [
        "torc config check server.properties --format json",
        "torc config --format json check server.properties",
        "torc config show",
        "torc config show --config server.properties --set num.partitions=3 --kafka :9092 --zookeeper 2181",
    ] {
        parse(line);
    }
    for line in ["torc config", "torc config check", "torc config show server.properties", "torc serve --format json"] {
        refused(line);
    }
}

#[test]
fn texts_and_tuning_have_their_flags() {
    for line in [
        "torc completions bash",
        "torc completions zsh",
        "torc man",
        "torc man target/man",
        "torc tune --apply --format json --data-dir /srv/torc",
    ] {
        parse(line);
    }
    refused("torc completions");
    assert!(refused("torc completions csh").contains("bash"));
}
