//! File systems made of tables, by one whose members the tests choose.

use super::super::location::Location;
use super::super::pseudo::{Entry, Kind, Members, PRIVATE, PseudoFs, Subject, Text, mountable};
use super::super::{
    FsContext, MountOptions, MountSource, Result, UnmountHow, lookup, mount, open, remove_file, unmount,
};
use super::{TestResult, entries, fails, in_words, make_file, private_tree, read_all, read_file, same};
use abi::Errno;
use alloc::string::{String, ToString};
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::{Rank, SpinLock};
use macros::kernel_test;

static FILE_SYSTEM: PseudoFs = PseudoFs {
    type_name: "table",
    magic: 1,
    root: Entry { name: "", mode: 0o555, kind: Kind::Members(ROOT, &MEMBERS) },
    check: |subject, private| match subject.object {
        object if object != 0 && LIVE.load(Ordering::Relaxed) >> object & 1 == 0 => Err(Errno::ENOENT),
        _ if private => Err(Errno::EACCES),
        _ => Ok(()),
    },
    has: |_, _| true,
    describe: |_, _, _| {},
};

const ROOT: &[Entry] = &[
    Entry { name: "count", mode: 0o444, kind: Kind::Text(count) },
    Entry { name: "secret", mode: PRIVATE | 0o400, kind: Kind::Text(count) },
    Entry { name: "value", mode: 0o444, kind: Kind::Value(&42) },
    Entry { name: "place", mode: 0o777, kind: Kind::Magic(shown, place) },
];

static MEMBERS: Members = Members {
    next: |_, from| {
        let live = LIVE.load(Ordering::Relaxed);
        let number = (from.max(1)..64).find(|number| live >> number & 1 != 0);
        Ok(number.map(|number| (number, Subject { object: number, stamp: 1, ..Subject::default() })))
    },
    name: None,
    entry: Entry { name: "", mode: 0o555, kind: Kind::Directory(MEMBER) },
};

const MEMBER: &[Entry] = &[
    Entry { name: "number", mode: 0o444, kind: Kind::Text(|subject, text| text.line(&subject.object)) },
    Entry { name: "inner", mode: 0o555, kind: Kind::Directory(&[]) },
];

/// Members that there are, one bit each.
static LIVE: AtomicU64 = AtomicU64::new(0);
/// How often a text was made.
static MADE: AtomicU64 = AtomicU64::new(0);
/// Where the link leads.
static PLACE: SpinLock<Option<Location>> = SpinLock::new("test place", Rank::Table, None);

fn count(_: Subject, text: &mut Text) -> Result<()> {
    text.line(&MADE.fetch_add(1, Ordering::Relaxed))
}

fn shown(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"/no/such/path");
    Ok(())
}

fn place(_: Subject) -> Result<Location> {
    PLACE.lock().clone().ok_or(Errno::ENOENT)
}

fn tree() -> core::result::Result<FsContext, String> {
    let tree = private_tree()?;
    mount(MountSource::Other("table", mountable(&FILE_SYSTEM)), &tree, b"t", MountOptions::default())
        .map_err(|error| error.to_string())?;
    Ok(tree)
}

fn done(tree: &FsContext) -> TestResult {
    same("unmount", unmount(tree, b"t", UnmountHow::default()).map_err(|error| error.errno()), Ok(()))
}

#[kernel_test]
fn members_come_and_go() -> TestResult {
    let tree = tree()?;
    LIVE.store(0, Ordering::Relaxed);
    fails("before", lookup(&tree, None, b"t/7", true), Errno::ENOENT)?;
    LIVE.store(1 << 7 | 1 << 9, Ordering::Relaxed);
    same("while it is there", read_file(&tree, b"t/7/number")?, b"7\n".to_vec())?;
    let inside = lookup(&tree, None, b"t/7/inner", true).map_err(in_words("inner"))?;
    same("its path", inside.path(), b"/t/7/inner".to_vec())?;
    same("listed", entries(&tree, b"t")?, ["7", "9", "count", "place", "secret", "value"].map(String::from).to_vec())?;
    for wrong in [&b"t/07"[..], b"t/8", b"t/-7", b"t/7x", b"t/18446744073709551623"] {
        fails("no member", lookup(&tree, None, wrong, true), Errno::ENOENT)?;
    }
    LIVE.store(1 << 9, Ordering::Relaxed);
    fails("after", lookup(&tree, None, b"t/7", true), Errno::ENOENT)?;
    fails("in it", lookup(&tree, Some(&inside), b"../number", true), Errno::ENOENT)?;
    drop(inside);
    same("the other", read_file(&tree, b"t/9/number")?, b"9\n".to_vec())?;
    done(&tree)
}

#[kernel_test]
fn nothing_is_mounted_where_it_would_be_lost() -> TestResult {
    let tree = tree()?;
    LIVE.store(1 << 5, Ordering::Relaxed);
    let at =
        |path: &[u8]| mount(MountSource::Tmpfs, &tree, path, MountOptions::default()).map_err(|error| error.errno());
    same("on a member", at(b"t/5"), Err(Errno::ENOENT))?;
    same("in a member", at(b"t/5/inner"), Err(Errno::ENOENT))?;
    same("on a new name", at(b"t/new"), Err(Errno::ENOENT))?;
    same("over it", at(b"t"), Ok(()))?;
    same("covered", entries(&tree, b"t")?, vec![])?;
    done(&tree)?;
    done(&tree)
}

#[kernel_test]
fn texts_are_made_at_their_start() -> TestResult {
    let tree = tree()?;
    let file = open(&tree, None, b"t/count", 0, 0).map_err(in_words("open"))?;
    let (first, rest) = (read_all(&file)?, read_all(&file)?);
    same("at the end", rest, vec![])?;
    file.seek(0, 0).map_err(in_words("seek"))?;
    same("made anew", read_all(&file)? == first, false)?;
    same("constant", read_file(&tree, b"t/value")?, b"42\n".to_vec())?;
    fails("private", open(&tree, None, b"t/secret", 0, 0), Errno::EACCES)?;
    fails("create", open(&tree, None, b"t/new", 0o101, 0o644), Errno::ENOENT)?;
    fails("remove", remove_file(&tree, None, b"t/value"), Errno::EPERM)?;
    drop(file);
    done(&tree)
}

#[kernel_test]
fn a_magic_link_leads_to_the_place_itself() -> TestResult {
    let tree = tree()?;
    fails("nowhere", lookup(&tree, None, b"t/place", true), Errno::ENOENT)?;
    make_file(&tree, b"f", b"content")?;
    *PLACE.lock() = Some(lookup(&tree, None, b"f", true).map_err(in_words("f"))?);
    same("remove", remove_file(&tree, None, b"f"), Ok(()))?;
    let result = same("what it was", read_file(&tree, b"t/place")?, b"content".to_vec());
    fails("not a directory", lookup(&tree, None, b"t/place/", true), Errno::ENOTDIR)?;
    let link = lookup(&tree, None, b"t/place", false).map_err(in_words("link"))?;
    same("what it shows", link.read_link(), Ok(b"/no/such/path".to_vec()))?;
    drop(link);
    let place = PLACE.lock().take();
    drop(place);
    result.and(done(&tree))
}
