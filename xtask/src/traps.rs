//! `cargo xtask traps`: builds each trap the core's design must avoid into a copy of the core, and sees that a test
//! fails. A test that cannot fail is worse than none.

use crate::run::{Error, cargo, target};
use std::fs;
use std::path::Path;

/// A mistake: the file, what stands there, and what would stand there had somebody fallen into the trap; and the tests
/// that notice, so that no others need be built.
struct Trap {
    name: &'static str,
    noticed_by: &'static str,
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
}

const TRAPS: [Trap; 15] = [
    Trap {
        name: "1: a delta is applied although events before it are missing",
        noticed_by: "spec",
        file: "document/mod.rs",
        right: "if !self.version.covers(delta.from()) {",
        wrong: "if false {",
    },
    Trap {
        name: "2: a removal takes no dot",
        noticed_by: "spec",
        file: "document/edit/hand.rs",
        right: "self.dot();\n        for id in found {",
        wrong: "for id in found {",
    },
    Trap {
        name: "3: a delta does not name what it removed",
        noticed_by: "spec",
        file: "document/log.rs",
        right: "removed.extend(self.removed.range(removed_from..removed_at).copied());",
        wrong: "removed.extend(self.removed.range(removed_from..removed_from).copied());",
    },
    Trap {
        name: "3: a delta relies on an event that is gone to say what that one replaced",
        noticed_by: "spec",
        file: "document/log.rs",
        right: "by > 0 && alive(Dot { replica: run.first.replica, seq: by })",
        wrong: "by > 0 && (alive(Dot { replica: run.first.replica, seq: by }) || true)",
    },
    Trap {
        name: "3: of what a group removed, only what was still here is passed on",
        noticed_by: "simulation",
        file: "document/merge.rs",
        right: "self.removed.push(Removed { run, by: 0 });",
        wrong: "if self.table.alive(run.first, run.last).next().is_some() { self.removed.push(Removed { run, by: 0 }); }",
    },
    Trap {
        name: "4: bottom is stored in a store of dots",
        noticed_by: "laws",
        file: "store.rs",
        right: "if !ours.is_bottom() {",
        wrong: "if true {",
    },
    Trap {
        name: "4: bottom is stored in a document",
        noticed_by: "spec",
        file: "document/table/mod.rs",
        right: "let gone = id != ROOT && self.is_bottom(id);",
        wrong: "let gone = id != ROOT && self.is_bottom(id) && !self.is_container(id);",
    },
    Trap {
        name: "5: a state does not bring its version",
        noticed_by: "spec",
        file: "document/mod.rs",
        right: "self.version.merge(gained);",
        wrong: "if !delta.from().is_empty() { self.version.merge(gained); }",
    },
    Trap {
        name: "5: the log answers for what it has forgotten",
        noticed_by: "spec",
        file: "document/log.rs",
        right: "if !has.covers(&self.base) {",
        wrong: "if false {",
    },
    Trap {
        name: "6: what a group brought and took away again stays with whoever had a part of it",
        noticed_by: "spec",
        file: "document/merge.rs",
        right: "if known(replica, to) > from {",
        wrong: "if false {",
    },
    Trap {
        name: "6: whoever lacks a part of a group is told no more than that part",
        noticed_by: "spec",
        file: "document/log.rs",
        right: "spans().for_each(|span| lowered.lower(span));",
        wrong: "",
    },
    Trap {
        name: "what is told again does not say what it builds on",
        noticed_by: "document",
        file: "document/log.rs",
        right: "let builds_on = match lowered.starts.is_empty() {",
        wrong: "let builds_on = match lowered.starts.is_empty() || true {",
    },
    Trap {
        name: "an edit is sent before it is stored",
        noticed_by: "session",
        file: "client.rs",
        right: "if self.stores && entry.not_on_device(self.replica) > 0 {",
        wrong: "if false {",
    },
    Trap {
        name: "a version covers what is one event beyond it",
        noticed_by: "spec",
        file: "dot.rs",
        right: "other.beside(self).all(|(_, theirs, ours)| theirs <= ours)",
        wrong: "other.beside(self).all(|(_, theirs, ours)| theirs <= ours + 1)",
    },
    Trap {
        name: "a change of a register is not told",
        noticed_by: "spec",
        file: "document/change.rs",
        right: "State::Register(events.dots().collect())",
        wrong: "State::Register(events.dots().take(0).collect())",
    },
];

/// Fails if a trap can be built in without a test that notices.
pub(crate) fn run(root: &Path) -> Result<(), Error> {
    let copy = target(root).join("traps");
    let mut unnoticed = Vec::new();
    for trap in &TRAPS {
        copy_core(root, &copy)?;
        let file = copy.join("crdt/src").join(trap.file);
        let text =
            fs::read_to_string(&file).map_err(|cause| Error::File(file.display().to_string(), cause))?;
        if !text.contains(trap.right) {
            return Err(Error::Missing(format!(
                "trap {}: `{}` no longer stands in {}",
                trap.name, trap.right, trap.file
            )));
        }
        write(&file, &text.replacen(trap.right, trap.wrong, 1))?;
        let quiet = |arguments: &[&str]| {
            cargo(&copy, arguments).env("CARGO_TARGET_DIR", copy.join("target")).output()
        };
        let test = ["test", "-p", "watersmeet-crdt", "--test", trap.noticed_by];
        let builds = quiet(&[&test[..], &["--no-run"]].concat()).is_ok_and(|output| output.status.success());
        let noticed = quiet(&test).is_ok_and(|output| !output.status.success());
        let result = match (builds, noticed) {
            (true, true) => "noticed  ",
            (true, false) => "UNNOTICED",
            (false, _) => "NOT BUILT",
        };
        println!("{result} {}", trap.name);
        if !(builds && noticed) {
            unnoticed.push(trap.name);
        }
    }
    if unnoticed.is_empty() {
        Ok(())
    } else {
        Err(Error::Missing(format!("unnoticed: {}", unnoticed.join("; "))))
    }
}

/// A workspace with nothing in it but the core and its derives.
fn copy_core(root: &Path, copy: &Path) -> Result<(), Error> {
    for member in ["crdt", "crdt-derive"] {
        // Without what an earlier copy had and the core no longer has.
        let _ = fs::remove_dir_all(copy.join(member));
        copy_folder(&root.join(member), &copy.join(member))?;
    }
    let manifest = root.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).map_err(|cause| Error::File(manifest.display().to_string(), cause))?;
    let alone: Vec<&str> = text
        .lines()
        .filter(|line| {
            !line.starts_with("default-members") && (!line.contains("path =") || line.contains("crdt-derive"))
        })
        .map(|line| if line.starts_with("members") { "members = [\"crdt\", \"crdt-derive\"]" } else { line })
        .collect();
    write(&copy.join("Cargo.toml"), &alone.join("\n"))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |cause| Error::File(from.display().to_string(), cause);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(failed)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|cause| Error::File(path.display().to_string(), cause))
}
