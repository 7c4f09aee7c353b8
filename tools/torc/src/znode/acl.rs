//! Access lists as people write them: zkCli's form.

use super::Failure;
use super::args::AclList;
use crate::output::{Align, Format, Table, print, print_json};
use serde_json::{Value, json};
use torc_client::zookeeper::ZooKeeper;
use torc_net::zookeeper::OwnedAcl;

/// Letters of what may be done, and their bits.
const PERMS: [(char, i32); 5] = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];

/// `world:anyone:cdrwa,digest:user:hash:r`.
pub fn parse_list(text: &str) -> Result<AclList, String> {
    let acls = text.split(',').map(parse).collect::<Result<Vec<OwnedAcl>, String>>()?;
    Ok(AclList::new(acls))
}

/// The id may have colons of its own.
fn parse(text: &str) -> Result<OwnedAcl, String> {
    let why = || format!("{text:?} is not of the form SCHEME:ID:PERMS, such as world:anyone:cdrwa");
    let (scheme, rest) = text.split_once(':').ok_or_else(why)?;
    let (id, letters) = rest.rsplit_once(':').ok_or_else(why)?;
    let mut perms = 0;
    for letter in letters.chars() {
        let (_, bit) = PERMS
            .iter()
            .find(|(c, _)| *c == letter)
            .ok_or_else(|| format!("{letter:?} in {text:?} is none of c(reate), d(elete), r(ead), w(rite), a(dmin)"))?;
        perms |= bit;
    }
    match scheme.is_empty() || perms == 0 {
        true => Err(why()),
        false => Ok(OwnedAcl { perms, scheme: scheme.to_string(), id: id.to_string() }),
    }
}

/// Everybody may do everything.
pub fn open_list() -> AclList {
    AclList::new(vec![OwnedAcl::open()])
}

fn letters(perms: i32) -> String {
    PERMS.iter().filter(|(_, bit)| perms & bit != 0).map(|(letter, _)| letter).collect()
}

/// As [`parse_list`] reads it.
pub fn text(acls: &[OwnedAcl]) -> String {
    let one = |acl: &OwnedAcl| format!("{}:{}:{}", acl.scheme, acl.id, letters(acl.perms));
    acls.iter().map(one).collect::<Vec<_>>().join(",")
}

/// As JSON.
fn value(acls: &[OwnedAcl]) -> Value {
    acls.iter().map(|acl| json!({ "scheme": acl.scheme, "id": acl.id, "perms": letters(acl.perms) })).collect()
}

/// Prints an access list.
pub fn show(zookeeper: &mut ZooKeeper, path: &str, format: Format) -> Result<(), Failure> {
    let (acls, stat) = zookeeper.acl(path)?;
    match format {
        Format::Json => {
            print_json(&json!({ "path": path, "acl": value(&acls), "text": text(&acls), "aversion": stat.aversion }));
        }
        Format::Table => {
            let mut table = Table::new(&[("SCHEME", Align::Left), ("ID", Align::Left), ("PERMS", Align::Left)]);
            acls.iter().for_each(|acl| table.row([acl.scheme.clone(), acl.id.clone(), letters(acl.perms)]));
            print(table);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_as_they_are_read() {
        for text_of in ["world:anyone:cdrwa", "digest:user:aGFzaA==:r,ip:fe80::1/64:crw", "auth::cdrwa"] {
            assert_eq!(text(&parse_list(text_of).unwrap()).len(), text_of.len(), "{text_of}");
            assert_eq!(parse_list(&text(&parse_list(text_of).unwrap())), parse_list(text_of));
        }
        assert_eq!(parse("ip:fe80::1:r").unwrap().id, "fe80::1");
        for wrong in ["", "world", "world:anyone", "world:anyone:", "world:anyone:x", ":anyone:r", "world:anyone:r,"] {
            assert!(parse_list(wrong).is_err(), "{wrong}");
        }
    }
}
