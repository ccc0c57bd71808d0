//! TLB shootdown: after page-table entries went, no CPU may use the old translation when the frames go back.
//!
//! The initiator counts the CPUs it asks in its own counter, puts a request into each one's mailbox, sends one IPI, and
//! waits. While it waits it serves its own mailbox, so that two CPUs shooting at each other with interrupts off both
//! get on. A mailbox that is full, or a large range, becomes "flush all".

use crate::cpu::{CpuId, control};
use crate::irq;
use crate::percpu;
use crate::sync::{IrqLock, PreemptGuard, Rank};
use core::sync::atomic::{AtomicU32, Ordering};

/// Above this many pages a whole flush is cheaper.
const MAX_PAGES: u64 = 32;
const MAILBOX_LEN: usize = 8;

#[derive(Clone, Copy)]
struct Request {
    start: u64,
    end: u64,
    initiator: CpuId,
}

struct Mailbox {
    requests: [Option<Request>; MAILBOX_LEN],
}

percpu! {
    static MAILBOX: IrqLock<Mailbox> =
        IrqLock::new("shootdown mailbox", Rank::Shootdown, Mailbox { requests: [None; MAILBOX_LEN] });
    /// CPUs that have not yet answered this CPU's request.
    static PENDING: AtomicU32 = AtomicU32::new(0);
}

/// Makes every CPU in `cpus` forget user translations of `[start, end)`. The entries have been changed before.
pub(super) fn shoot_down(cpus: u64, start: u64, end: u64) {
    let guard = PreemptGuard::new();
    let here = crate::percpu::this_cpu();
    if cpus >> here.number() & 1 != 0 {
        flush_here(start, end);
    }
    let others = cpus & !(1 << here.number());
    if others == 0 {
        return;
    }
    let pending = PENDING.get(&guard);
    pending.store(others.count_ones(), Ordering::SeqCst);
    let request = Request { start, end, initiator: here };
    for number in (0..64).filter(|number| others >> number & 1 != 0) {
        let cpu = CpuId::new(number);
        post(cpu, request);
        irq::send_shootdown(cpu);
    }
    while pending.load(Ordering::SeqCst) != 0 {
        serve();
        core::hint::spin_loop();
    }
}

/// Makes every CPU in `cpus` execute a full memory barrier before this returns: each serves a request to forget nothing.
pub fn synchronize(cpus: u64) {
    shoot_down(cpus, 0, 0);
}

/// Serves this CPU's mailbox: the IPI's handler.
pub(crate) fn serve() {
    let guard = PreemptGuard::new();
    loop {
        let request = {
            let mut mailbox = MAILBOX.get(&guard).lock();
            mailbox.requests.iter_mut().find_map(Option::take)
        };
        let Some(request) = request else { return };
        flush_here(request.start, request.end);
        if let Some(pending) = PENDING.on(request.initiator) {
            pending.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Puts the request into the mailbox of `cpu`, waiting for room. Each CPU has one request under way at most, so room
/// comes as soon as `cpu` serves; meanwhile this CPU serves its own.
fn post(cpu: CpuId, request: Request) {
    let Some(mailbox) = MAILBOX.on(cpu) else { return };
    loop {
        if let Some(slot) = mailbox.lock().requests.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(request);
            return;
        }
        irq::send_shootdown(cpu);
        serve();
        core::hint::spin_loop();
    }
}

fn flush_here(start: u64, end: u64) {
    if (end - start) >> 12 > MAX_PAGES {
        control::flush_user_tlb();
        return;
    }
    (start..end).step_by(crate::addr::PAGE_SIZE).for_each(control::invalidate_page);
}
