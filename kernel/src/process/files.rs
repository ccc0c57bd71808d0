//! The table of open files of a process.

use crate::vfs::File;
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

/// Most descriptors of any process; nobody may raise RLIMIT_NOFILE above it.
pub const MAX_FILES: usize = 4096;
/// What a program may have without asking (Linux's default RLIMIT_NOFILE).
pub const DEFAULT_FILES: usize = 1024;

#[derive(Clone)]
struct Entry {
    file: Arc<File>,
    close_on_exec: bool,
}

/// Open files by descriptor.
#[derive(Default)]
pub struct FileTable {
    entries: Vec<Option<Entry>>,
    identity: Arc<()>,
}

/// Descriptors that follow each other.
pub struct FilesFrom<'a>(&'a [Option<Entry>]);

impl FilesFrom<'_> {
    /// The file of the descriptor that is `at` after the first.
    #[inline]
    pub fn get(&self, at: u32) -> Option<&File> {
        self.0.get(at as usize)?.as_ref().map(|entry| &*entry.file)
    }
}

impl FileTable {
    /// Descriptors 0, 1 and 2 on `console`.
    pub fn with_console(console: Arc<File>) -> Self {
        let entry = Some(Entry { file: console, close_on_exec: false });
        FileTable { entries: alloc::vec![entry.clone(), entry.clone(), entry], identity: Arc::default() }
    }

    /// A copy, for a new process.
    pub fn try_clone(&self) -> Result<Self, Errno> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(self.entries.len()).map_err(|_| Errno::ENOMEM)?;
        entries.extend(self.entries.iter().cloned());
        Ok(FileTable { entries, identity: Arc::default() })
    }

    /// What stands for this table and no other, as the owner of locks; gone when the table is.
    pub fn identity(&self) -> Arc<()> {
        self.identity.clone()
    }

    /// Takes the files out that execve(2) closes.
    pub fn take_close_on_exec(&mut self) -> Vec<Arc<File>> {
        let closing = |entry: &mut Option<Entry>| entry.take_if(|entry| entry.close_on_exec).map(|entry| entry.file);
        self.entries.iter_mut().filter_map(closing).collect()
    }

    /// The file of descriptor `fd`.
    pub fn get(&self, fd: i32) -> Result<Arc<File>, Errno> {
        self.entry(fd).map(|entry| entry.file.clone())
    }

    /// The file of descriptor `fd`, to be looked at while the table is locked.
    pub fn peek(&self, fd: i32) -> Option<&Arc<File>> {
        self.entries.get(usize::try_from(fd).ok()?)?.as_ref().map(|entry| &entry.file)
    }

    /// The first descriptor from `fd` on that is in use.
    pub fn next_from(&self, fd: usize) -> Option<usize> {
        let in_use = |&fd: &usize| self.entries[fd].is_some();
        (fd..self.entries.len()).find(in_use)
    }

    /// The files of descriptors from `first` on, at most `count`, to be looked at while the table is locked.
    pub fn from(&self, first: usize, count: usize) -> FilesFrom<'_> {
        let entries = self.entries.get(first..).unwrap_or_default();
        FilesFrom(&entries[..count.min(entries.len())])
    }

    /// How many descriptors select(2) looks at, at most: as many as Linux's table would have room for.
    pub fn room(&self) -> usize {
        match self.entries.len() {
            ..=64 => 64,
            len => len.next_power_of_two().max(256),
        }
    }

    /// Whether a descriptor below `limit` is free.
    pub fn has_free(&self, limit: usize) -> bool {
        self.lowest_free(0..limit).is_some()
    }

    /// Puts `file` at the lowest free descriptor of `range`, which ends at the process's limit. EMFILE if there is none.
    pub fn insert(&mut self, file: Arc<File>, range: Range<usize>, close_on_exec: bool) -> Result<i32, Errno> {
        let fd = self.lowest_free(range).ok_or(Errno::EMFILE)?;
        self.put(fd, Entry { file, close_on_exec })?;
        Ok(fd as i32)
    }

    /// Puts `file` at descriptor `fd`, which the caller has checked; what was there.
    pub fn replace(&mut self, fd: usize, file: Arc<File>, close_on_exec: bool) -> Result<Option<Arc<File>>, Errno> {
        let old = self.entries.get_mut(fd).and_then(Option::take);
        self.put(fd, Entry { file, close_on_exec })?;
        Ok(old.map(|entry| entry.file))
    }

    /// Takes descriptor `fd` out.
    pub fn remove(&mut self, fd: i32) -> Result<Arc<File>, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let entry = self.entries.get_mut(index).and_then(Option::take).ok_or(Errno::EBADF)?;
        Ok(entry.file)
    }

    /// Takes descriptor `fd` out if it still refers to `file`.
    pub fn take_back(&mut self, fd: i32, file: &Arc<File>) -> Option<Arc<File>> {
        let entry = self.entries.get_mut(usize::try_from(fd).ok()?)?;
        entry.take_if(|entry| Arc::ptr_eq(&entry.file, file)).map(|entry| entry.file)
    }

    /// Whether execve(2) closes `fd`.
    pub fn close_on_exec(&self, fd: i32) -> Result<bool, Errno> {
        self.entry(fd).map(|entry| entry.close_on_exec)
    }

    /// Sets whether execve(2) closes `fd`.
    pub fn set_close_on_exec(&mut self, fd: i32, close: bool) -> Result<(), Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let entry = self.entries.get_mut(index).and_then(Option::as_mut).ok_or(Errno::EBADF)?;
        entry.close_on_exec = close;
        Ok(())
    }

    fn lowest_free(&self, mut range: Range<usize>) -> Option<usize> {
        range.find(|&fd| self.entries.get(fd).is_none_or(Option::is_none))
    }

    fn entry(&self, fd: i32) -> Result<&Entry, Errno> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        self.entries.get(index).and_then(Option::as_ref).ok_or(Errno::EBADF)
    }

    fn put(&mut self, index: usize, entry: Entry) -> Result<(), Errno> {
        if index >= self.entries.len() {
            let more = index + 1 - self.entries.len();
            self.entries.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            self.entries.resize(index + 1, None);
        }
        self.entries[index] = Some(entry);
        Ok(())
    }
}
