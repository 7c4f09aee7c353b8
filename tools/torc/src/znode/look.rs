//! `torc znode ls`, `tree`, `get`, `stat`: what is there.

use super::args::{GetArgs, LsArgs, TreeArgs};
use super::kinds::told;
use super::walk::{Found, Hidden, Tree, below, walk};
use super::{Failure, Place};
use crate::formats::{hex, moment};
use crate::output::{Align, Format, Table, plain, print, print_json};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use torc_base::units::rounded_size;
use torc_client::zookeeper::{ZooKeeper, ZooKeeperError};
use torc_net::zookeeper::{ErrorCode, Stat};

/// A stat under ZooKeeper's names.
pub fn as_json(stat: &Stat) -> Map<String, Value> {
    let Value::Object(map) = json!({
        "kind": told(stat.ephemeral_owner), "czxid": stat.czxid, "mzxid": stat.mzxid, "pzxid": stat.pzxid, "ctime": stat.ctime, "mtime": stat.mtime,
        "version": stat.version, "cversion": stat.cversion, "aversion": stat.aversion,
        "ephemeral_owner": stat.ephemeral_owner, "data_length": stat.data_length, "num_children": stat.num_children,
    }) else {
        unreachable!("it is an object");
    };
    map
}

fn as_text(stat: &Stat) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<16} {value}").expect("writing to a string does not fail");
    };
    line("kind", told(stat.ephemeral_owner).to_string());
    line("czxid", format!("{:#x}", stat.czxid));
    line("ctime", moment::text(stat.ctime));
    line("mzxid", format!("{:#x}", stat.mzxid));
    line("mtime", moment::text(stat.mtime));
    line("pzxid", format!("{:#x}", stat.pzxid));
    line("cversion", stat.cversion.to_string());
    line("version", stat.version.to_string());
    line("aversion", stat.aversion.to_string());
    line("ephemeralOwner", format!("{:#x}", stat.ephemeral_owner));
    line("dataLength", stat.data_length.to_string());
    line("numChildren", stat.num_children.to_string());
    text
}

/// `torc znode stat`.
pub fn stat(zookeeper: &mut ZooKeeper, path: &str, format: Format) -> Result<(), Failure> {
    let Some(stat) = zookeeper.exists(path)? else {
        let what = format!("look at {path}");
        return Err(ZooKeeperError::Refused { what, code: ErrorCode::NoNode as i32 }.into());
    };
    match format {
        Format::Table => print(as_text(&stat)),
        Format::Json => {
            let mut map = as_json(&stat);
            map.insert("path".to_string(), path.into());
            print_json(&map);
        }
    }
    Ok(())
}

/// `torc znode get`. Bytes go out as they are, but on a terminal.
pub fn get(zookeeper: &mut ZooKeeper, args: &GetArgs, format: Format, place: Place) -> Result<(), Failure> {
    let (data, stat) = zookeeper.get(&args.path)?;
    if format == Format::Json {
        let mut map = as_json(&stat);
        map.insert("path".to_string(), args.path.as_str().into());
        match std::str::from_utf8(&data) {
            Ok(text) if !args.hex => map.insert("data".to_string(), text.into()),
            _ => map.insert("data_hex".to_string(), hex::text(&data).into()),
        };
        print_json(&map);
        return Ok(());
    }
    let terminal = io::stdout().is_terminal();
    if args.hex {
        print(format_args!("{}\n", hex::text(&data)));
    } else if terminal {
        print(format_args!("{}\n", on_terminal(&data)));
    } else if place == Place::Shell {
        print(format_args!("{}\n", String::from_utf8_lossy(&data)));
    } else {
        let mut out = io::stdout().lock();
        match out.write_all(&data).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(format!("cannot write to standard output: {error}").into());
            }
            _ => {}
        }
    }
    if args.stat {
        print(as_text(&stat));
    }
    Ok(())
}

/// Strangers' data, which must not move the cursor.
fn on_terminal(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let line = |line: &str| line.split('\t').map(plain).collect::<Vec<_>>().join("\t");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// `torc znode ls`.
pub fn ls(zookeeper: &mut ZooKeeper, args: &LsArgs, format: Format) -> Result<(), Failure> {
    let depth = match (args.recursive, args.long) {
        (true, _) => None,
        (false, true) => Some(1),
        // The znode itself tells the names.
        (false, false) => {
            let (names, _) = zookeeper.children(&args.path)?;
            show_names(&names, format);
            return Ok(());
        }
    };
    let mut tree = walk(zookeeper, &args.path, depth, Hidden::Shown)?;
    tree.remove(&args.path);
    let name = |path: &str| match args.recursive {
        true => path.to_string(),
        false => path.rsplit('/').next().unwrap_or_default().to_string(),
    };
    if !args.long {
        show_names(&tree.keys().map(|path| name(path)).collect::<Vec<_>>(), format);
        return Ok(());
    }
    match format {
        Format::Json => {
            let one = |(path, found): (&String, &Found)| {
                let mut map = as_json(&found.stat);
                map.insert("name".to_string(), name(path).into());
                map
            };
            print_json(&tree.iter().map(one).collect::<Vec<_>>());
        }
        Format::Table => print(long_table(&tree, name)),
    }
    Ok(())
}

fn long_table(tree: &Tree, name: impl Fn(&str) -> String) -> Table {
    let mut table = Table::new(&[
        ("ZNODE", Align::Left),
        ("KIND", Align::Left),
        ("VERSION", Align::Right),
        ("SIZE", Align::Right),
        ("CHILDREN", Align::Right),
        ("CHANGED", Align::Left),
    ]);
    for (path, Found { stat, .. }) in tree {
        table.row([
            name(path),
            told(stat.ephemeral_owner).to_string(),
            stat.version.to_string(),
            rounded_size(stat.data_length.unsigned_abs().into()),
            stat.num_children.to_string(),
            moment::text(stat.mtime),
        ]);
    }
    table
}

fn show_names(names: &[String], format: Format) {
    match format {
        Format::Json => print_json(&names),
        Format::Table => print(names.iter().map(|name| plain(name) + "\n").collect::<String>()),
    }
}

/// `torc znode tree`.
pub fn tree(zookeeper: &mut ZooKeeper, args: &TreeArgs, format: Format) -> Result<(), Failure> {
    let tree = walk(zookeeper, &args.path, args.depth, Hidden::Shown)?;
    match format {
        Format::Json => print_json(&nested(&tree, &args.path)),
        Format::Table => {
            let mut text = line(&args.path, &tree[&args.path]);
            draw(&tree, &args.path, "", &mut text);
            let below = tree.len() - 1;
            let znodes = if below == 1 { "znode" } else { "znodes" };
            print(format_args!("{text}{below} {znodes} below {}\n", plain(&args.path)));
        }
    }
    Ok(())
}

fn line(name: &str, found: &Found) -> String {
    let stat = &found.stat;
    let mut notes = Vec::new();
    if stat.data_length > 0 {
        notes.push(rounded_size(stat.data_length.unsigned_abs().into()));
    }
    if stat.ephemeral_owner != 0 {
        notes.push(told(stat.ephemeral_owner).to_string());
    }
    let hidden = stat.num_children.unsigned_abs() as usize;
    if found.children.is_empty() && hidden > 0 {
        notes.push(if hidden == 1 { "1 child".to_string() } else { format!("{hidden} children") });
    }
    if found.hidden {
        notes.push("not for this client".to_string());
    }
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    format!("{}{notes}\n", plain(name))
}

/// Paths are as deep as their authors made them: no recursion.
fn draw(tree: &Tree, root: &str, indent: &str, text: &mut String) {
    let mut open = vec![(root.to_string(), indent.to_string(), 0)];
    while let Some((path, indent, at)) = open.pop() {
        let children = &tree[&path].children;
        let Some(name) = children.get(at) else { continue };
        let is_last = at + 1 == children.len();
        let (branch, more) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let child = below(&path, name);
        *text += &format!("{indent}{branch}{}", line(name, &tree[&child]));
        let deeper = format!("{indent}{more}");
        open.push((path, indent, at + 1));
        open.push((child, deeper, 0));
    }
}

/// Deepest first, so that each takes its children in.
fn nested(tree: &Tree, root: &str) -> Value {
    let mut made: std::collections::BTreeMap<&str, Value> = std::collections::BTreeMap::new();
    for (path, found) in tree.iter().rev() {
        let children = found.children.iter().filter_map(|name| made.remove(below(path, name).as_str()));
        let children: Vec<Value> = children.collect();
        let mut map = as_json(&found.stat);
        map.insert("path".to_string(), path.as_str().into());
        map.insert("children".to_string(), children.into());
        made.insert(path, map.into());
    }
    made.remove(root).unwrap_or_default()
}
