//! Virtio block devices (virtio 1.2, 5.2).
//!
//! As many request queues as the device offers are used, at most one for each CPU ([`queue`]). A request goes to the queue
//! of the CPU that starts it, and its interrupt comes back there. The device does requests in any order, those of one queue
//! as well as those of several: who wants a flush to cover a write waits for the write first, which is what everyone does.
//! A queue in which the device breaks the protocol ends the device: it is reset, and what all queues have fails.
//! Locks: those of the queues, one at a time.

mod queue;

use super::{BlockDevice, BlockError, Operation, Request, check};
use crate::driver::{Bound, ProbeError, next_cpu};
use crate::pci::Claim;
use crate::virtio::transport::ResetControl;
use crate::virtio::{QueueFault, Transport, feature};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::PAGE_SIZE;
use machine::cpu::{self, CpuId};
use machine::io::{DmaBuffer, DmaError};
use machine::irq::{self, IrqLine};
use machine::percpu;
use machine::sync::{Rank, SpinLock};
use macros::kernel_test;
use queue::{Data, ID_LEN, Job, RequestQueue, TYPE_FLUSH, TYPE_GET_ID, TYPE_IN, TYPE_OUT};

/// Feature bits (virtio 1.2, 5.2.3).
const FEATURE_SIZE_MAX: u64 = 1 << 1;
const FEATURE_SEG_MAX: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_CONFIG_WCE: u64 = 1 << 11;
const FEATURE_MULTI_QUEUE: u64 = 1 << 12;

/// Offsets in the device configuration (virtio 1.2, 5.2.4).
const CONFIG_CAPACITY: usize = 0;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;
const CONFIG_WRITEBACK: usize = 32;
const CONFIG_NUM_QUEUES: usize = 34;

/// Interrupt vectors that a queue beyond a disk's first leaves for other devices.
const SPARE_VECTORS: usize = 64;

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

/// A disk.
pub struct VirtioBlock {
    name: String,
    address: String,
    sectors: u64,
    read_only: bool,
    write_cache: bool,
    can_flush: bool,
    max_segments: usize,
    shared: Arc<Shared>,
    /// The identity, once the device has been asked.
    identity: SpinLock<Option<String>>,
    fault_logged: AtomicBool,
    /// Of each queue that is used.
    lines: Vec<IrqLine>,
    _transport: Transport,
}

/// What the interrupt handlers work on.
struct Shared {
    queues: Vec<RequestQueue>,
    reset: ResetControl,
}

/// Makes a disk of a claimed function.
pub fn probe(claim: Claim) -> Result<Bound<Arc<dyn BlockDevice>>, ProbeError> {
    let address = claim.address.to_string();
    let mut transport = Transport::open(claim)?;
    let wanted = FEATURE_SIZE_MAX
        | FEATURE_SEG_MAX
        | FEATURE_READ_ONLY
        | FEATURE_FLUSH
        | FEATURE_CONFIG_WCE
        | FEATURE_MULTI_QUEUE
        | feature::EVENT_IDX
        | feature::INDIRECT_DESC;
    let features = transport.negotiate(wanted)?;
    let limits = Limits::read(&transport, features)?;
    let queues = set_up_queues(&mut transport, limits.queues, &address)?;
    let max_segments = queues.iter().map(|queue| queue.max_segments).fold(limits.segments, usize::min);
    let shared = Arc::new(Shared { queues, reset: transport.reset_control() });
    let name = disk_name(NEXT_NAME.fetch_add(1, Ordering::Relaxed));
    let lines = connect(&mut transport, &shared, &name)?;
    transport.start();
    let (vectors, agreement) = (lines.iter().map(IrqLine::vector).collect(), transport.agreement());
    let disk = VirtioBlock {
        name,
        address,
        sectors: limits.sectors,
        read_only: features & FEATURE_READ_ONLY != 0,
        write_cache: limits.write_cache,
        can_flush: features & FEATURE_FLUSH != 0,
        max_segments,
        shared,
        identity: SpinLock::new("disk identity", Rank::Device, None),
        fault_logged: AtomicBool::new(false),
        lines,
        _transport: transport,
    };
    let (name, sectors, queues) = (&disk.name, disk.sectors, disk.lines.len());
    log::debug!("{name}: {sectors} sectors, {max_segments} segments a request, {queues} queues");
    Ok(Bound { device: Arc::new(disk), vectors, virtio: Some(agreement) })
}

/// As many queues as there can be. One is needed; what goes wrong with the others is logged.
fn set_up_queues(
    transport: &mut Transport,
    offered: Option<u16>,
    address: &str,
) -> Result<Vec<RequestQueue>, ProbeError> {
    let offered = offered.map_or(Ok(1), |queues| checked_queues(queues, transport.queue_count()));
    let offered = offered.unwrap_or_else(|error| {
        log::warn!("PCI {address}: virtio-blk: {error}; one is used");
        1
    });
    let spare = irq::free_vectors().saturating_sub(SPARE_VECTORS).min(transport.interrupt_count());
    let count = usize::from(offered).min(cpu::online_count() as usize).min(spare).max(1);
    let mut queues = Vec::new();
    queues.try_reserve_exact(count).map_err(|_| DmaError::OutOfMemory)?;
    for index in 0..count {
        match RequestQueue::set_up(transport, index as u16) {
            Ok(queue) => queues.push(queue),
            Err(error) if index == 0 => return Err(error),
            Err(error) => {
                log::warn!("PCI {address}: virtio-blk: {error}; {index} of {count} queues are used");
                break;
            }
        }
    }
    Ok(queues)
}

/// The device's configuration contradicts itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct BadQueueCount {
    /// `num_queues` of the device's own configuration.
    requests: u16,
    /// `num_queues` of the common configuration, which are all.
    all: u16,
}

impl fmt::Display for BadQueueCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "num_queues says {} request queues, of {} queues in all", self.requests, self.all)
    }
}

/// `num_queues` of a device that has `all` queues, if that can be.
fn checked_queues(requests: u16, all: u16) -> Result<u16, BadQueueCount> {
    if (1..=all).contains(&requests) { Ok(requests) } else { Err(BadQueueCount { requests, all }) }
}

/// Gives each queue an interrupt line, on its first CPU; the first without a free vector and those behind it get none,
/// and are not used.
fn connect(transport: &mut Transport, shared: &Arc<Shared>, name: &str) -> Result<Vec<IrqLine>, ProbeError> {
    let queues = shared.queues.len();
    let mut lines = Vec::new();
    lines.try_reserve_exact(queues).map_err(|_| DmaError::OutOfMemory)?;
    for index in 0..queues {
        let handler = shared.clone();
        let line_name = if queues == 1 { name.to_string() } else { format!("{name}.{index}") };
        let own = || cpu::online().find(|&cpu| queue_of(cpu, queues) == index);
        let cpu = if queues == 1 { None } else { own() }.unwrap_or_else(next_cpu);
        match transport.connect(index as u16, &line_name, cpu, move || handler.interrupt(index)) {
            Ok(line) => lines.push(line),
            Err(error) if index == 0 => return Err(error.into()),
            Err(_) => break,
        }
    }
    Ok(lines)
}

/// Which of `queues` queues serves `cpu`: neighbours share one where there are fewer queues than CPUs.
fn queue_of(cpu: CpuId, queues: usize) -> usize {
    (cpu.index() * queues / (cpu::online_count() as usize).max(1)).min(queues - 1)
}

/// What the device configuration says.
struct Limits {
    sectors: u64,
    segments: usize,
    write_cache: bool,
    /// Request queues, if the device says how many it has.
    queues: Option<u16>,
}

impl Limits {
    fn read(transport: &Transport, features: u64) -> Result<Limits, ProbeError> {
        let sectors = transport.read_config(|config| config.field_u64(CONFIG_CAPACITY))?;
        if features & FEATURE_SIZE_MAX != 0 {
            let most = transport.read_config(|config| config.field::<u32>(CONFIG_SIZE_MAX))?;
            if (most as usize) < PAGE_SIZE {
                return Err(ProbeError::Unusable("it takes no segments of a page"));
            }
        }
        let segments = if features & FEATURE_SEG_MAX != 0 {
            // 0 makes no sense, and is taken as the least that does.
            transport.read_config(|config| config.field::<u32>(CONFIG_SEG_MAX))?.max(1) as usize
        } else {
            1
        };
        // Without the choice, a device that can flush has a cache (virtio 1.2, 5.2.5.2).
        let write_cache = if features & FEATURE_CONFIG_WCE != 0 {
            transport.read_config(|config| config.field::<u8>(CONFIG_WRITEBACK))? != 0
        } else {
            features & FEATURE_FLUSH != 0
        };
        let queues = if features & FEATURE_MULTI_QUEUE != 0 {
            Some(transport.read_config(|config| config.field::<u16>(CONFIG_NUM_QUEUES))?)
        } else {
            None
        };
        Ok(Limits { sectors, segments, write_cache, queues })
    }
}

/// `vda` to `vdz`, `vdaa` and so on, as Linux counts.
fn disk_name(number: u32) -> String {
    let letter = |number: u32| char::from(b'a' + (number % 26) as u8);
    if number < 26 {
        format!("vd{}", letter(number))
    } else {
        format!("vd{}{}", letter(number / 26 - 1), letter(number))
    }
}

impl BlockDevice for VirtioBlock {
    fn name(&self) -> &str {
        &self.name
    }

    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn has_write_cache(&self) -> bool {
        self.write_cache
    }

    fn max_segments(&self) -> usize {
        self.max_segments
    }

    fn submit(&self, request: Request) {
        if let Err(error) = check(&request, self) {
            return (request.done)(Err(error));
        }
        let kind = match request.operation {
            Operation::Read => TYPE_IN,
            Operation::Write => TYPE_OUT,
            Operation::Flush if self.can_flush => TYPE_FLUSH,
            // What is written is safe at once.
            Operation::Flush => return (request.done)(Ok(())),
        };
        self.start(Job { kind, sector: request.sector, data: Data::Segments(request.segments), done: request.done });
    }

    fn identity(&self) -> String {
        if let Some(identity) = &*self.identity.lock() {
            return identity.clone();
        }
        let identity = match self.ask_identity() {
            Ok(serial) if !serial.is_empty() => format!("virtio-blk at {}, serial {serial}", self.address),
            _ => format!("virtio-blk at {}", self.address),
        };
        self.identity.lock().get_or_insert(identity).clone()
    }
}

impl VirtioBlock {
    fn start(&self, job: Job) {
        // The task may be on another CPU by now: the request goes its way all the same.
        let queue = &self.shared.queues[queue_of(percpu::this_cpu(), self.lines.len())];
        if let Some((job, error)) = queue.start(job) {
            self.log_fault();
            (job.done)(Err(error));
        }
    }

    /// Interrupt handlers do not log: the first request after a fault does.
    fn log_fault(&self) {
        let mut faults = self.shared.queues.iter().filter_map(RequestQueue::fault);
        // The other queues were given up because of the one.
        let fault = faults.find(|&fault| fault != QueueFault::GivenUp);
        if let Some(fault) = fault
            && !self.fault_logged.swap(true, Ordering::Relaxed)
        {
            log::error!("{}: {fault}; the disk is not used any more", self.name);
        }
    }

    fn ask_identity(&self) -> Result<String, BlockError> {
        let answer = Arc::new(DmaBuffer::new(ID_LEN).map_err(|_| BlockError::OutOfMemory)?);
        let completion = super::Completion::new();
        let data = Data::Identity(answer.clone());
        self.start(Job { kind: TYPE_GET_ID, sector: 0, data, done: completion.signal() });
        completion.wait()?;
        let mut bytes = [0; ID_LEN];
        answer.read(0, &mut bytes);
        // Ended by a zero unless it fills all of it (virtio 1.2, 5.2.6).
        let serial = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(serial.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' }).collect())
    }
}

impl Shared {
    /// Serves a queue. In interrupt context.
    fn interrupt(&self, index: usize) {
        if !self.queues[index].interrupt() {
            let stopped = self.reset.reset_now();
            self.queues.iter().for_each(|queue| queue.give_up(stopped));
        }
    }
}

#[kernel_test]
fn a_count_of_queues_that_cannot_be_is_told() {
    assert_eq!((checked_queues(1, 1), checked_queues(4, 5)), (Ok(1), Ok(4)));
    for (requests, all) in [(0, 1), (2, 1), (u16::MAX, 4), (1, 0)] {
        assert_eq!(checked_queues(requests, all), Err(BadQueueCount { requests, all }));
    }
}

#[kernel_test]
fn every_cpu_has_a_queue_and_every_queue_a_cpu() {
    let cpus = cpu::online_count() as usize;
    for queues in 1..=cpus {
        let mut served = alloc::vec![0; queues];
        cpu::online().for_each(|cpu| served[queue_of(cpu, queues)] += 1);
        let (least, most) = (cpus / queues, cpus.div_ceil(queues));
        assert!(served.iter().all(|&count| (least..=most).contains(&count)), "{cpus} CPUs: {served:?}");
    }
    // A CPU that is not among those that are up has one, too.
    assert_eq!(queue_of(CpuId::new(cpu::MAX_CPUS as u32 - 1), 1), 0);
}
