//! What a data directory lies on: whether what is durable there outlives the machine's next start.

use std::fs;
use std::path::{Path, PathBuf};

/// How far a flush reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// As far as the device's word does; or nothing is known against it.
    Lasting,
    /// Memory: gone when the machine is switched off or started anew. The file system or device.
    Memory(String),
    /// It is mounted with an option that drops flushes.
    NoFlush(String),
    /// The layer of a container that is removed with it.
    ContainerLayer,
}

impl Medium {
    /// Of the file system that holds `path`.
    pub fn of(path: &Path) -> Medium {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        fs::read_to_string("/proc/self/mountinfo").map_or(Medium::Lasting, |mounts| Medium::among(&mounts, &path))
    }

    /// The same, from the text of /proc/PID/mountinfo.
    pub(crate) fn among(mounts: &str, path: &Path) -> Medium {
        let found = mounts.lines().filter_map(Mount::parse).filter(|mount| path.starts_with(&mount.at));
        // The longest one, and of those on one place the last, which covers the others.
        found.max_by_key(|mount| mount.at.as_os_str().len()).map_or(Medium::Lasting, |mount| mount.medium())
    }

    /// What a person should know before trusting it with data; `None` if all is well.
    pub fn warning(&self, path: &Path) -> Option<String> {
        let path = path.display();
        match self {
            Medium::Lasting => None,
            Medium::Memory(what) => Some(format!(
                "the data directory {path} is in memory ({what}): nothing survives a power cut or a reboot; choose a place on a \
                 disk with --data-dir"
            )),
            Medium::NoFlush(option) => Some(format!(
                "the file system of {path} is mounted with {option}: a power cut can take what was acknowledged; mount it \
                 without"
            )),
            Medium::ContainerLayer => Some(format!(
                "the data directory {path} is in the container's own layer, which is removed with the container; mount a volume \
                 there"
            )),
        }
    }

    /// Why a flush there is no promise against a power cut; `None` if it is one.
    pub fn not_durable(&self) -> Option<String> {
        match self {
            Medium::Lasting | Medium::ContainerLayer => None,
            Medium::Memory(what) => Some(format!("the data directory is in memory ({what})")),
            Medium::NoFlush(option) => Some(format!("the file system is mounted with {option}")),
        }
    }
}

struct Mount<'a> {
    at: PathBuf,
    kind: &'a str,
    source: &'a str,
    options: Vec<&'a str>,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (place, what) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(4);
        let at = unescape(place.next()?);
        let own = place.next().unwrap_or_default();
        let mut what = what.split(' ');
        let (kind, source, of_all) = (what.next()?, what.next()?, what.next().unwrap_or_default());
        Some(Mount { at, kind, source, options: own.split(',').chain(of_all.split(',')).collect() })
    }

    fn medium(&self) -> Medium {
        let device = self.source.strip_prefix("/dev/").unwrap_or_default();
        let in_memory = |prefix: &str| {
            let number = device.strip_prefix(prefix);
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if matches!(self.kind, "tmpfs" | "ramfs" | "devtmpfs" | "hugetlbfs") {
            return Medium::Memory(self.kind.to_string());
        }
        if in_memory("ram") || in_memory("zram") {
            return Medium::Memory(self.source.to_string());
        }
        let drops = |option: &&&str| {
            matches!(**option, "nobarrier" | "barrier=0" | "volatile") || option.starts_with("fsync=volatile")
        };
        match self.options.iter().find(drops) {
            Some(option) => Medium::NoFlush((*option).to_string()),
            None if self.kind == "overlay" => Medium::ContainerLayer,
            None => Medium::Lasting,
        }
    }
}

/// Spaces and the like stand there as `\040`.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let octal = bytes[at + 1..].get(..3).filter(|_| bytes[at] == b'\\');
        let octal = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        out.push(octal.unwrap_or(bytes[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    std::ffi::OsString::from_vec(out).into()
}
