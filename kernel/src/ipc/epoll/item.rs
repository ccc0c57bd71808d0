//! One file that an epoll instance watches.
//!
//! The item is in the wait queues of its file, which hold it, and in the instance's table. Whichever of the two files ends
//! first takes it out of both.

use super::{ALWAYS, Epoll, HOW, Key};
use crate::ipc::poll;
use crate::vfs::{EndWatcher, File, Result};
use abi::poll::EpollEvent;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::sync::{IrqLock, Rank, Watch, Watcher};

/// A watched file.
pub struct Item {
    me: Weak<Item>,
    epoll: Arc<Epoll>,
    file: Weak<File>,
    key: Key,
    /// What is asked for, and the program's data. Interrupts look at it with the ready list's lock not held.
    interest: IrqLock<EpollEvent>,
    /// Events that it is in the file's queues for; changed with the instance's `scan` held.
    watched: AtomicU32,
    /// On the ready list; changed with that locked.
    listed: AtomicBool,
    /// Out of the table; changed with the ready list locked.
    ended: AtomicBool,
}

impl Item {
    /// An item that is in no queue yet.
    pub fn new(epoll: &Arc<Epoll>, file: &Arc<File>, key: Key, event: EpollEvent) -> Arc<Item> {
        Arc::new_cyclic(|me| Item {
            me: me.clone(),
            epoll: epoll.clone(),
            file: Arc::downgrade(file),
            key,
            interest: IrqLock::new("epoll interest", Rank::Ready, event),
            watched: AtomicU32::new(0),
            listed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Its place in the table.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The file, unless it has ended.
    pub fn file(&self) -> Option<Arc<File>> {
        self.file.upgrade()
    }

    /// What is asked for.
    pub fn interest(&self) -> EpollEvent {
        *self.interest.lock()
    }

    /// Of what is asked for, what is the case. Nothing for an item that EPOLLONESHOT has switched off.
    pub fn events(&self, interest: &EpollEvent, file: &File) -> u32 {
        match interest.events & !HOW {
            0 => 0,
            asked => file.poll() & (asked | ALWAYS),
        }
    }

    /// Asks for something else. What was listed for the old interest stays so, and is looked at.
    pub fn set_interest(&self, event: EpollEvent, file: &File) -> Result<()> {
        let watch = self.watch();
        // Entered for the new events before it leaves for the old ones, so that it misses nothing.
        poll::watch(file, event.events, &watch)?;
        *self.interest.lock() = event;
        poll::unwatch(file, self.watched.swap(event.events, Ordering::Relaxed), &watch);
        Ok(())
    }

    /// EPOLLONESHOT: nothing is told until the interest is set again.
    pub fn disarm(&self) {
        self.interest.lock().events &= HOW;
    }

    /// Enters the item into the file's queues.
    pub fn attach(&self, file: &File) -> Result<()> {
        let me = self.me.clone();
        file.watch_end(me)?;
        let events = self.interest().events;
        self.watched.store(events, Ordering::Relaxed);
        poll::watch(file, events, &self.watch())
    }

    /// Takes it out of the file's queues; twice is as good as once.
    pub fn detach(&self, file: &File) {
        let me: Weak<dyn EndWatcher> = self.me.clone();
        file.unwatch_end(&me);
        poll::unwatch(file, !0, &self.watch());
    }

    /// Whether it is still in the table.
    pub fn is_live(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }

    /// It is out of the table.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Notes whether it is on the ready list; whether it was.
    pub fn set_listed(&self, listed: bool) -> bool {
        self.listed.swap(listed, Ordering::SeqCst)
    }

    fn watch(&self) -> Watch {
        match self.me.upgrade() {
            Some(me) => Watch::Other(me),
            None => panic!("an epoll item is used while it is dropped"),
        }
    }
}

impl Watcher for Item {
    fn woken(&self) {
        // Whoever calls has a reference, so this is never the last one to go.
        let Some(me) = self.me.upgrade() else { return };
        if self.interest().events & !HOW != 0 {
            self.epoll.put_ready(&me);
            self.epoll.waiters.wake_one();
        }
    }
}

impl EndWatcher for Item {
    fn ended(&self, file: &File) {
        let Some(me) = self.me.upgrade() else { return };
        self.epoll.forget(&me);
        poll::unwatch(file, !0, &Watch::Other(me));
    }
}
