//! Restartable sequences (rseq(2)): a thread has an area in user memory that says on which CPU it runs, and in which
//! critical section it is, if in one. A section that was not left before another task ran on its CPU, before a signal's
//! handler runs or before the thread is on another CPU does not go on: the thread finds itself at its abort address.
//!
//! Nothing of this is on the way of a system call. The scheduler tells threads that have an area when they are on a CPU
//! again after others (`thread::switched`); that makes the area due and asks for attention, which the thread looks at with
//! interrupts off right before user mode. Everything is done in the thread's own context, but for what others make due.
//!
//! `mm_cid`, of which a thread may expect that no other one running in the same address space has it, is the CPU's number.

use abi::Errno;
use abi::pod::Pod;
use abi::rseq::{RSEQ_CPU_ID_UNINITIALIZED, RSEQ_LEN, RseqSection, area};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use machine::addr::USER_END;
use machine::percpu::this_cpu;
use machine::user::UserContext;
use machine::user::value::{get, put};

/// What a thread has registered.
pub struct Rseq {
    /// Address of the area; 0 for none.
    area: AtomicU64,
    len: AtomicU32,
    /// What stands before the abort address of each section.
    signature: AtomicU32,
    /// The area is out of date, and a section that the thread is in is to be aborted.
    due: AtomicBool,
}

impl Rseq {
    /// None.
    pub(super) const fn new() -> Self {
        Rseq {
            area: AtomicU64::new(0),
            len: AtomicU32::new(0),
            signature: AtomicU32::new(0),
            due: AtomicBool::new(false),
        }
    }

    /// Registers the area at `address`, which is right when it has been brought up to date (it is due).
    pub(super) fn register(&self, address: u64, len: u32, signature: u32) -> Result<(), Errno> {
        if self.area() != 0 {
            self.check(address, len, signature)?;
            return Err(Errno::EBUSY);
        }
        if len < RSEQ_LEN || !address.is_multiple_of(RSEQ_LEN.into()) {
            return Err(Errno::EINVAL);
        }
        if address.checked_add(len.into()).is_none_or(|end| end > USER_END) {
            return Err(Errno::EFAULT);
        }
        put(address + area::SECTION, &0u64)?;
        write_ids(address, this_cpu().number())?;
        self.area.store(address, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.signature.store(signature, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the registration, which must be the one with these arguments.
    pub(super) fn unregister(&self, address: u64, len: u32, signature: u32) -> Result<(), Errno> {
        if self.area() == 0 {
            return Err(Errno::EINVAL);
        }
        self.check(address, len, signature)?;
        put(address + area::CPU_IDS, &[0, RSEQ_CPU_ID_UNINITIALIZED])?;
        put(address + area::NODE_AND_MM_CID, &[0u32; 2])?;
        self.forget();
        Ok(())
    }

    /// The registration is gone with the program.
    pub(super) fn forget(&self) {
        self.area.store(0, Ordering::Relaxed);
    }

    /// The area is due.
    pub(super) fn make_due(&self) {
        self.due.store(true, Ordering::SeqCst);
    }

    /// What a new thread has of its maker in an address space of its own (fork(2)).
    pub(super) fn inherit(&self, maker: &Rseq) {
        self.area.store(maker.area(), Ordering::Relaxed);
        self.len.store(maker.len.load(Ordering::Relaxed), Ordering::Relaxed);
        self.signature.store(maker.signature.load(Ordering::Relaxed), Ordering::Relaxed);
        self.due.store(true, Ordering::Relaxed);
    }

    /// Whether there is a registration.
    pub(super) fn is_registered(&self) -> bool {
        self.area() != 0
    }

    /// Before user mode: brings the area up to date, if it is due. EFAULT if it, or what it says of a section, is bad.
    pub(super) fn update(&self, context: &mut UserContext) -> Result<(), Errno> {
        if !self.due.swap(false, Ordering::SeqCst) || self.area() == 0 {
            return Ok(());
        }
        self.abort_section(context)?;
        // Whoever is moved meanwhile is told so and comes here again.
        write_ids(self.area(), this_cpu().number())
    }

    /// A section that the thread is in does not go on. EFAULT as for [`Rseq::update`].
    pub(super) fn abort_section(&self, context: &mut UserContext) -> Result<(), Errno> {
        let own = self.area();
        if own == 0 {
            return Ok(());
        }
        let address: u64 = get(own + area::SECTION)?;
        if address == 0 {
            return Ok(());
        }
        let section: RseqSection = get(address)?;
        if !section.is_sound(USER_END) {
            return Err(Errno::EFAULT);
        }
        let signature: u32 = get(section.abort_ip.wrapping_sub(u32::SIZE as u64))?;
        if signature != self.signature.load(Ordering::Relaxed) {
            return Err(Errno::EFAULT);
        }
        let registers = context.registers_mut();
        let is_in = section.contains(registers.rip);
        if is_in && (section.flags != 0 || get::<u32>(own + area::FLAGS)? != 0) {
            return Err(Errno::EFAULT); // ways to go on that there once were
        }
        put(own + area::SECTION, &0u64)?;
        if is_in {
            registers.rip = section.abort_ip;
        }
        Ok(())
    }

    fn area(&self) -> u64 {
        self.area.load(Ordering::Relaxed)
    }

    /// Whether the registration has these arguments.
    fn check(&self, address: u64, len: u32, signature: u32) -> Result<(), Errno> {
        if address != self.area() || len != self.len.load(Ordering::Relaxed) {
            return Err(Errno::EINVAL);
        }
        if signature == self.signature.load(Ordering::Relaxed) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

fn write_ids(own: u64, cpu: u32) -> Result<(), Errno> {
    put(own + area::CPU_IDS, &[cpu; 2])?;
    put(own + area::NODE_AND_MM_CID, &[0, cpu])
}
