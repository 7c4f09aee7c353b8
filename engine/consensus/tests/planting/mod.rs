//! How a known bug gets into a copy of the sources, asleep until the environment wakes it: for the tests of this crate and of
//! the simulator (`tools/sim/tests/planted.rs`).

use std::fs;
use std::path::Path;
use std::process::Output;

/// What the copy's torc-base has besides: whether a bug is awake. The rules about the world hold for what is shipped;
/// this is not.
const SWITCH: &str = "
pub fn planted(name: &str) -> bool {
    static AWAKE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    AWAKE.get_or_init(|| std::env::var(\"TORC_PLANTED\").ok()).as_deref() == Some(name)
}
";

/// The file at `path` as the copy has it: with `edits`, each a bug's name, a text that is found exactly once, and what takes its
/// place. There, `AWAKE` stands for the question whether the bug is awake.
pub fn plant<'a>(path: &Path, bytes: Vec<u8>, edits: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<u8> {
    if path == Path::new("engine/base/src/lib.rs") {
        return [bytes.as_slice(), SWITCH.as_bytes()].concat();
    }
    edits.fold(bytes, |bytes, (name, old, new)| {
        let text = String::from_utf8(bytes).expect("sources are UTF-8");
        let (found, file) = (text.matches(old).count(), path.display());
        assert_eq!(found, 1, "{name}: the text to replace is {found} times in {file}; adapt tests/planted.rs:\n{old}");
        text.replace(old, &new.replace("AWAKE", &format!("torc_base::planted({name:?})"))).into_bytes()
    })
}

/// Sources that are in the copy's folder `to` and not in `from` any more go: a module that has moved would be there twice. What
/// the tests put there besides lies among examples.
pub fn forget_gone(from: &Path, to: &Path) {
    for entry in fs::read_dir(to).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_source = path.extension().is_some_and(|ending| ending == "rs") && !to.ends_with("examples");
        if is_source && !from.join(entry.file_name()).exists() {
            fs::remove_file(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
}

/// Writes only what differs, so that a second run builds nothing.
pub fn write_if_changed(path: &Path, bytes: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(bytes) {
        fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

/// All that a program has said.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
