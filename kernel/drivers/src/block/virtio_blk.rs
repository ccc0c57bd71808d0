//! Virtio block devices (virtio 1.2, 5.2).
//!
//! One queue, up to [`QUEUE_SIZE`] requests in flight. Data goes straight between the device and the request's frames;
//! header and status byte of each request are in a pool, at the number of its chain. Requests beyond the queue's room
//! wait in a list that the interrupt handler moves on. Lock: the device's queue (rank `Queue`), never held while a
//! request's `done` runs.

use super::{BlockDevice, BlockError, Operation, Outcome, Request, Segment, check};
use crate::driver::{Bound, ProbeError};
use crate::pci::Claim;
use crate::virtio::transport::{Notifier, ResetControl};
use crate::virtio::{Buffer, Transport, Virtqueue, feature};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::PAGE_SIZE;
use machine::io::{DmaBuffer, DmaError};
use machine::irq::IrqLine;
use machine::sync::{IrqLock, Rank, SpinLock};

/// Requests in flight at most.
const QUEUE_SIZE: u16 = 64;
/// Buffers of a request at most: header, data, status. A page of descriptors holds four such tables.
const MAX_BUFFERS: u16 = 64;

/// Feature bits (virtio 1.2, 5.2.3).
const FEATURE_SIZE_MAX: u64 = 1 << 1;
const FEATURE_SEG_MAX: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_CONFIG_WCE: u64 = 1 << 11;

/// Offsets in the device configuration (virtio 1.2, 5.2.4).
const CONFIG_CAPACITY: usize = 0;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;
const CONFIG_WRITEBACK: usize = 32;

/// Request types (virtio 1.2, 5.2.6).
const TYPE_IN: u32 = 0;
const TYPE_OUT: u32 = 1;
const TYPE_FLUSH: u32 = 4;
const TYPE_GET_ID: u32 = 8;
/// Status bytes.
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
/// What the status byte is before the device writes it.
const STATUS_NOT_WRITTEN: u8 = 0xff;
/// Bytes of the answer to `TYPE_GET_ID`.
const ID_LEN: usize = 20;

/// Layout of a pool entry: header, status byte.
const POOL_ENTRY_LEN: usize = 32;
const HEADER_LEN: u32 = 16;
const STATUS_AT: usize = 16;

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
    _line: IrqLine,
    _transport: Transport,
}

/// What the interrupt handler works on.
struct Shared {
    state: IrqLock<State>,
    /// Headers and status bytes, one entry for each chain number.
    pool: DmaBuffer,
    notifier: Notifier,
    reset: ResetControl,
}

struct State {
    queue: Virtqueue<Job>,
    /// In order of submission; what did not fit into the queue.
    pending: VecDeque<Job>,
}

/// A request on its way, with all memory that the device uses for it.
struct Job {
    kind: u32,
    sector: u64,
    data: Data,
    done: Box<dyn FnOnce(Outcome) + Send>,
}

enum Data {
    Segments(Vec<Segment>),
    /// The answer to `TYPE_GET_ID`.
    Identity(Arc<DmaBuffer>),
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
        | feature::EVENT_IDX
        | feature::INDIRECT_DESC;
    let features = transport.negotiate(wanted)?;
    let limits = Limits::read(&transport, features)?;
    let (queue, notifier) = transport.set_up_queue::<Job>(0, QUEUE_SIZE, MAX_BUFFERS, 0)?;
    if queue.max_chain() < 3 {
        return Err(ProbeError::Unusable("its queue is too short for a request"));
    }
    // Header and status take two buffers.
    let max_segments = limits.segments.min(usize::from(queue.max_chain().min(MAX_BUFFERS)) - 2);
    let mut pending = VecDeque::new();
    pending.try_reserve(usize::from(QUEUE_SIZE)).map_err(|_| DmaError::OutOfMemory)?;
    let shared = Arc::new(Shared {
        pool: DmaBuffer::new(usize::from(queue.size()) * POOL_ENTRY_LEN)?,
        state: IrqLock::new("virtio-blk queue", Rank::Queue, State { queue, pending }),
        notifier,
        reset: transport.reset_control(),
    });
    let name = disk_name(NEXT_NAME.fetch_add(1, Ordering::Relaxed));
    let handler = shared.clone();
    let line = IrqLine::allocate(&name, move || handler.interrupt())?;
    transport.connect(0, line.message(crate::driver::next_cpu()))?;
    transport.start();
    let (vectors, agreement) = (Vec::from([line.vector()]), transport.agreement());
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
        _line: line,
        _transport: transport,
    };
    log::debug!("{}: {} sectors, {} segments a request", disk.name, disk.sectors, max_segments);
    Ok(Bound { device: Arc::new(disk), vectors, virtio: Some(agreement) })
}

/// What the device configuration says.
struct Limits {
    sectors: u64,
    segments: usize,
    write_cache: bool,
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
        Ok(Limits { sectors, segments, write_cache })
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
        let refused = self.shared.start(job);
        if let Some((job, error)) = refused {
            self.log_fault();
            (job.done)(Err(error));
        }
    }

    /// Interrupt handlers do not log: the first request after a fault does.
    fn log_fault(&self) {
        let fault = self.shared.state.lock().queue.fault();
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
    /// Puts a job into the queue, or behind those that wait for room; gives it back if neither can be.
    fn start(&self, job: Job) -> Option<(Job, BlockError)> {
        let notify = {
            let mut state = self.state.lock();
            if state.queue.fault().is_some() {
                return Some((job, BlockError::DeviceBroken));
            }
            // Room in the list is made here, since the interrupt handler may not allocate.
            if state.pending.try_reserve(1).is_err() {
                return Some((job, BlockError::OutOfMemory));
            }
            state.pending.push_back(job);
            self.move_on(&mut state)
        };
        if notify {
            self.notifier.notify();
        }
        None
    }

    /// Moves waiting jobs into the queue as far as there is room. Whether to tell the device.
    fn move_on(&self, state: &mut State) -> bool {
        while let Some(head) = state.queue.next_head()
            && let Some(job) = state.pending.front()
            && let Some(chain) = state.queue.prepare(self.buffers(head, job))
            && let Some(job) = state.pending.pop_front()
        {
            let entry = usize::from(head) * POOL_ENTRY_LEN;
            self.pool.store::<u32>(entry, job.kind);
            self.pool.store::<u32>(entry + 4, 0);
            self.pool.store::<u64>(entry + 8, job.sector);
            self.pool.store::<u8>(entry + STATUS_AT, STATUS_NOT_WRITTEN);
            state.queue.commit(chain, job);
        }
        state.queue.publish()
    }

    /// Header, data, status (virtio 1.2, 5.2.6).
    fn buffers<'a>(&self, head: u16, job: &'a Job) -> impl Iterator<Item = Buffer> + Clone + 'a {
        let entry = self.pool.address().offset(u64::from(head) * POOL_ENTRY_LEN as u64);
        let header = Buffer { address: entry, len: HEADER_LEN, device_writes: false };
        let status = Buffer { address: entry.offset(STATUS_AT as u64), len: 1, device_writes: true };
        let device_writes = job.kind == TYPE_IN;
        let (segments, identity) = match &job.data {
            Data::Segments(segments) => (segments.as_slice(), None),
            Data::Identity(answer) => (&[][..], Some(answer)),
        };
        let segments = segments.iter().map(move |segment| Buffer {
            address: segment.frame.address().offset(segment.offset as u64),
            len: segment.len as u32,
            device_writes,
        });
        let identity = identity.into_iter().map(|answer| Buffer {
            address: answer.address(),
            len: ID_LEN as u32,
            device_writes: true,
        });
        iter::once(header).chain(segments).chain(identity).chain(iter::once(status))
    }

    /// Finishes what the device has done and gives it what waits. In interrupt context.
    fn interrupt(&self) {
        loop {
            let (job, outcome) = {
                let mut state = self.state.lock();
                match state.queue.pop() {
                    Some(used) => (used.token, self.outcome(used.head)),
                    None if state.queue.fault().is_some() => break,
                    None => {
                        let notify = self.move_on(&mut state);
                        drop(state);
                        if notify {
                            self.notifier.notify();
                        }
                        return;
                    }
                }
            };
            (job.done)(outcome);
        }
        self.give_up();
    }

    fn outcome(&self, head: u16) -> Outcome {
        match self.pool.load::<u8>(usize::from(head) * POOL_ENTRY_LEN + STATUS_AT) {
            STATUS_OK => Ok(()),
            STATUS_UNSUPPORTED => Err(BlockError::Unsupported),
            _ => Err(BlockError::Io),
        }
    }

    /// The device broke the protocol: stops it and fails everything it has.
    fn give_up(&self) {
        let stopped = self.reset.reset_now();
        loop {
            let job = {
                let mut state = self.state.lock();
                state.queue.drain().or_else(|| state.pending.pop_front())
            };
            let Some(Job { data, done, .. }) = job else { return };
            if !stopped {
                // It may still write there: the memory is lost rather than somebody else's.
                core::mem::forget(data);
            }
            done(Err(BlockError::DeviceBroken));
        }
    }
}
