//! Volumes in memory, made and judged by the programs of dosfstools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, id};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::fs::{BlockStore, WriteStore};

/// Why a store has refused.
#[derive(Debug)]
pub struct Refused(&'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// Bytes, and how many more accesses they bear: what goes on for ever comes to an end by that.
pub struct Memory {
    bytes: Mutex<Vec<u8>>,
    left: AtomicUsize,
}

impl Memory {
    pub fn new(bytes: Vec<u8>, accesses: usize) -> Memory {
        Memory { bytes: Mutex::new(bytes), left: AtomicUsize::new(accesses) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    /// Whether all accesses have been used up.
    pub fn exhausted(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn count(&self) -> Result<(), Refused> {
        let took = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        took.map(|_| ()).map_err(|_| Refused("too many accesses"))
    }
}

impl BlockStore for Memory {
    type Error = Refused;

    fn len_bytes(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Refused> {
        self.count()?;
        let bytes = self.bytes.lock().unwrap();
        // An access outside panics here.
        out.copy_from_slice(&bytes[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

impl WriteStore for Memory {
    fn write(&self, offset: u64, new: &[u8]) -> Result<(), Refused> {
        self.count()?;
        self.bytes.lock().unwrap()[offset as usize..offset as usize + new.len()].copy_from_slice(new);
        Ok(())
    }

    fn write_through(&self, offset: u64, new: &[u8]) -> Result<(), Refused> {
        self.write(offset, new)
    }

    fn barrier(&self) -> Result<(), Refused> {
        Ok(())
    }

    fn flush(&self) -> Result<(), Refused> {
        Ok(())
    }
}

/// An empty volume of `mkfs.fat`.
pub fn make(kind: u32, mib: usize) -> Memory {
    // As many as mkfs.fat would take.
    make_with(kind, mib, if kind == 32 { 1 } else { 4 })
}

/// The same with clusters of `sectors` sectors.
pub fn make_with(kind: u32, mib: usize, sectors: usize) -> Memory {
    let path = scratch();
    fs::write(&path, []).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len((mib << 20) as u64).unwrap();
    run("mkfs.fat", &["-F", &kind.to_string(), "-s", &sectors.to_string(), "-n", "A LABEL", path.to_str().unwrap()]);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    Memory::new(bytes, usize::MAX)
}

/// `fsck.fat` finds nothing.
pub fn fsck(store: &Memory) {
    let path = scratch();
    fs::write(&path, store.bytes()).unwrap();
    run("fsck.fat", &["-n", path.to_str().unwrap()]);
    fs::remove_file(path).unwrap();
}

/// What `fsck.fat -a` makes of the volume. `what` is for the message if it cannot.
pub fn repaired(bytes: &[u8], what: &str) -> Vec<u8> {
    let path = scratch();
    fs::write(&path, bytes).unwrap();
    let output = output("fsck.fat", &["-a", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{what}: fsck.fat -a: {}\n{said}", output.status);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

fn scratch() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("fat-{}-{}.img", id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    output.unwrap_or_else(|error| panic!("{program} (package dosfstools): {error}"))
}

fn run(program: &str, arguments: &[&str]) {
    let output = output(program, arguments);
    assert!(output.status.success(), "{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stdout));
}

/// Numbers at random by a seed: xorshift, 64 bits.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}
