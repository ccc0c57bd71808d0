//! The file system in memory: tmpfs, and the tree of device nodes and the first root, which are tmpfs too.
//!
//! All nodes are in one table by number; directories hold numbers. So a tree of any depth goes in one sweep when its
//! volume goes, and a removed file lives on with those who have it open. File content is the pages of a cache without
//! backing; holes have no page. At most half of the memory goes into pages, as on Linux.
//!
//! Locks: `nodes`, and in each node `inner` (both rank File, never both at once). The VFS orders changes of a directory.

mod attributes;
mod node;

use super::Result;
use super::inode::{FileSystem, Inode, NewKind, NewNode, Statistics};
use super::page_cache::Quota;
use abi::Errno;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::PAGE_SIZE;
use machine::mm::frame;
use machine::sync::{Rank, SpinLock};
use node::Node;

/// `TMPFS_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x0102_1994;
const ROOT: u64 = 1;

/// A file system in memory.
pub struct TmpFs {
    type_name: &'static str,
    shared: Arc<Shared>,
}

/// What nodes know of their file system.
struct Shared {
    nodes: SpinLock<BTreeMap<u64, Arc<Node>>>,
    next: AtomicU64,
    quota: Arc<Quota>,
}

impl TmpFs {
    /// An empty one, shown with this type in `/proc/mounts`; its root directory has permission bits `mode`.
    pub fn new(type_name: &'static str, mode: u32) -> Arc<TmpFs> {
        let shared = Arc::new(Shared {
            nodes: SpinLock::new("tmpfs nodes", Rank::File, BTreeMap::new()),
            next: AtomicU64::new(ROOT),
            quota: Quota::new(frame::total() / 2),
        });
        let root = Shared::make(&shared, &NewNode { kind: NewKind::Directory, mode, uid: 0, gid: 0 });
        root.change_links(2);
        Arc::new(TmpFs { type_name, shared })
    }
}

impl FileSystem for TmpFs {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn root(&self) -> Result<Arc<dyn Inode>> {
        Ok(self.shared.node(ROOT)?)
    }

    fn statistics(&self) -> Result<Statistics> {
        let (used, all) = self.shared.quota.figures();
        let files = self.shared.nodes.lock().len() as u64;
        Ok(Statistics {
            magic: MAGIC,
            block_size: PAGE_SIZE as u64,
            blocks: all,
            blocks_free: all.saturating_sub(used),
            blocks_available: all.saturating_sub(used),
            files: files + all,
            files_free: all,
        })
    }
}

impl Shared {
    fn node(&self, number: u64) -> Result<Arc<Node>> {
        self.nodes.lock().get(&number).cloned().ok_or(Errno::EIO)
    }

    /// A new node, in the table and in no directory.
    fn make(shared: &Arc<Shared>, new: &NewNode<'_>) -> Arc<Node> {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let node = Arc::new(Node::new(shared, number, new));
        shared.nodes.lock().insert(number, node.clone());
        node
    }

    /// Puts a node that gets a name into the table, if it is not there.
    fn keep(&self, node: &Arc<Node>) {
        self.nodes.lock().insert(node.number(), node.clone());
    }

    /// Takes a node without names out of the table.
    fn forget(&self, number: u64) {
        let node = self.nodes.lock().remove(&number);
        drop(node);
    }
}
