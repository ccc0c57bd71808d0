//! `open(2)` and what the open file does.

use super::super::flags::*;
use super::super::transfer::{SliceSink, SliceSource, VecSink};
use super::super::{FsContext, open};
use super::{
    TestResult, fails, in_words, make_directory, make_file, make_link, private_tree, read_all, read_file, same,
};
use abi::Errno;
use alloc::vec;
use macros::kernel_test;

fn open_fails(tree: &FsContext, path: &[u8], flags: u32, wanted: Errno) -> TestResult {
    let what = alloc::format!("{} with {flags:#o}", alloc::string::String::from_utf8_lossy(path));
    fails(&what, open(tree, None, path, flags, 0o644), wanted)
}

#[kernel_test]
fn open_flags_act_as_on_linux() -> TestResult {
    let tree = private_tree()?;
    make_directory(&tree, b"dir")?;
    make_file(&tree, b"file", b"content")?;
    make_link(&tree, b"link", b"file")?;
    make_link(&tree, b"new-by-link", b"made")?;
    for (path, flags, wanted) in [
        (b"none".as_slice(), O_RDONLY, Errno::ENOENT),
        (b"dir", O_WRONLY, Errno::EISDIR),
        (b"dir", O_RDONLY | O_CREAT, Errno::EISDIR),
        (b"dir", O_RDONLY | O_TRUNC, Errno::EISDIR),
        (b"new/", O_WRONLY | O_CREAT, Errno::EISDIR),
        (b"file/", O_RDONLY, Errno::ENOTDIR),
        (b"file", O_DIRECTORY, Errno::ENOTDIR),
        (b"link", O_NOFOLLOW, Errno::ELOOP),
        (b"file", O_CREAT | O_EXCL, Errno::EEXIST),
        (b"link", O_CREAT | O_EXCL, Errno::EEXIST),
        (b"new-by-link", O_CREAT | O_EXCL, Errno::EEXIST),
        (b"dir", O_CREAT | O_EXCL, Errno::EEXIST),
        (b"/", O_CREAT, Errno::EISDIR),
        (b"x", O_CREAT | O_DIRECTORY, Errno::EINVAL),
        (b"none/x", O_CREAT | O_WRONLY, Errno::ENOENT),
        (b"file/x", O_CREAT | O_WRONLY, Errno::ENOTDIR),
    ] {
        open_fails(&tree, path, flags, wanted)?;
    }
    drop(open(&tree, None, b"new-by-link", O_CREAT | O_WRONLY, 0o600).map_err(in_words("create by link"))?);
    same("made by link", read_file(&tree, b"made")?, vec![])?;
    drop(open(&tree, None, b"file", O_RDWR | O_TRUNC, 0).map_err(in_words("truncate"))?);
    same("truncated", read_file(&tree, b"link")?, vec![])
}

#[kernel_test]
fn access_mode_and_path_files() -> TestResult {
    let tree = private_tree()?;
    make_file(&tree, b"file", b"content")?;
    let open = |flags| open(&tree, None, b"file", flags, 0).map_err(in_words("open"));
    fails("read of O_WRONLY", open(O_WRONLY)?.read(&mut VecSink::new(1)), Errno::EBADF)?;
    fails("write of O_RDONLY", open(O_RDONLY)?.write(&mut SliceSource::new(b"x")), Errno::EBADF)?;
    fails("truncate of O_RDONLY", open(O_RDONLY)?.truncate(0), Errno::EINVAL)?;
    let path = open(O_PATH)?;
    fails("read of O_PATH", path.read(&mut VecSink::new(1)), Errno::EBADF)?;
    fails("seek of O_PATH", path.seek(0, SEEK_SET), Errno::EBADF)?;
    same("size by O_PATH", path.metadata().map(|metadata| metadata.size), Ok(7))
}

#[kernel_test]
fn writing_reading_seeking() -> TestResult {
    let tree = private_tree()?;
    let file = open(&tree, None, b"file", O_RDWR | O_CREAT, 0o644).map_err(in_words("open"))?;
    same("write", file.write(&mut SliceSource::new(b"hello world")), Ok(11))?;
    same("seek to the end", file.seek(-5, SEEK_END), Ok(6))?;
    same("rest", read_all(&file)?, b"world".to_vec())?;
    same("at the end", read_all(&file)?, vec![])?;
    let mut out = [0; 5];
    same("read at 0", file.read_at(0, &mut SliceSink::new(&mut out)), Ok(5))?;
    same("bytes at 0", &out, b"hello")?;
    same("position kept", file.seek(0, SEEK_CUR), Ok(11))?;
    same("write at 6", file.write_at(6, &mut SliceSource::new(b"W")), Ok(1))?;
    fails("before the start", file.seek(-1, SEEK_SET), Errno::EINVAL)?;
    fails("no such whence", file.seek(0, 9), Errno::EINVAL)?;
    fails("past the largest offset", file.seek(i64::MAX, SEEK_END), Errno::EINVAL)?;
    let append = open(&tree, None, b"file", O_WRONLY | O_APPEND, 0).map_err(in_words("open to append"))?;
    same("append", append.write(&mut SliceSource::new(b"!")), Ok(1))?;
    same("position after append", append.seek(0, SEEK_CUR), Ok(12))?;
    same("content", read_file(&tree, b"file")?, b"hello World!".to_vec())
}

#[kernel_test]
fn holes_read_as_zeros_and_are_found() -> TestResult {
    let tree = private_tree()?;
    let file = open(&tree, None, b"file", O_RDWR | O_CREAT, 0o644).map_err(in_words("open"))?;
    same("far write", file.write_at(100_000, &mut SliceSource::new(b"end")), Ok(3))?;
    let all = read_all(&file)?;
    same("length", all.len(), 100_003)?;
    same("hole", all[..100_000].iter().all(|&byte| byte == 0), true)?;
    same("data", &all[100_000..], b"end")?;
    same("hole at 0", file.seek(0, SEEK_HOLE), Ok(0))?;
    same("data from 0", file.seek(0, SEEK_DATA), Ok(98_304))?;
    same("end as hole", file.seek(100_000, SEEK_HOLE), Ok(100_003))?;
    fails("data past the end", file.seek(100_003, SEEK_DATA), Errno::ENXIO)?;
    same("blocks of one page", file.metadata().map(|metadata| metadata.blocks), Ok(8))?;
    // What a cut took away does not come back when the file grows again.
    same("cut", file.truncate(98_305), Ok(()))?;
    same("grow", file.truncate(100_003), Ok(()))?;
    same("cut bytes", read_file(&tree, b"file")?.iter().all(|&byte| byte == 0), true)
}

#[kernel_test]
fn memory_devices() -> TestResult {
    let tree = super::super::root_context();
    let open = |path: &[u8]| open(&tree, None, path, O_RDWR, 0).map_err(in_words("open"));
    let null = open(b"/dev/null")?;
    same("null", read_all(&null)?, vec![])?;
    same("null takes", null.write(&mut SliceSource::new(b"xyz")), Ok(3))?;
    fails("null has no terminal", null.ioctl(0x5401, 0), Errno::ENOTTY)?;
    let mut out = [1; 10];
    same("zero", open(b"/dev/zero")?.read(&mut SliceSink::new(&mut out)), Ok(10))?;
    same("zeros", out, [0; 10])?;
    fails("full", open(b"/dev/full")?.write(&mut SliceSource::new(b"x")), Errno::ENOSPC)?;
    let (mut first, mut second) = ([0; 64], [0; 64]);
    let random = open(b"/dev/urandom")?;
    random.read(&mut SliceSink::new(&mut first)).map_err(in_words("random"))?;
    random.read(&mut SliceSink::new(&mut second)).map_err(in_words("random"))?;
    same("two random reads are equal", first == second, false)
}
