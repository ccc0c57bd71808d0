//! Virtio over PCI: finding the registers, negotiating features, setting queues up (virtio 1.2, 3.1 and 4.1).
//!
//! The order is fixed, and the types keep it: [`Transport::open`] resets the device and acknowledges it,
//! [`Transport::negotiate`] settles the features, [`Transport::set_up_queue`] comes before [`Transport::start`]. When
//! the transport drops, the device is reset, so it has let go of all memory.

use super::queue::{Areas, QueueError, Virtqueue};
use super::{Agreement, feature};
use crate::pci::{BarKind, Claim, Function, ID_VENDOR, Interrupts, PciError};
use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use machine::PhysAddr;
use machine::cpu::CpuId;
use machine::io::Mmio;
use machine::io::mmio::{RegisterValue, Window};
use machine::io::registers::{OutOfWindow, ReadOnly, ReadWrite, Registers, WriteOnly};
use machine::irq::{Handler, IrqLine};
use machine::time;
use macros::Registers;

/// Vendor id of all virtio devices over PCI.
const VENDOR: u16 = 0x1af4;
/// Device ids: of modern devices the type is the difference to the first (virtio 1.2, 4.1.2.1).
const MODERN_IDS: core::ops::RangeInclusive<u16> = 0x1040..=0x107f;
/// Ids of transitional devices, which have the modern registers too, with their types.
const TRANSITIONAL_IDS: [(u16, u16); 6] =
    [(0x1000, 1), (0x1001, 2), (0x1002, 5), (0x1003, 3), (0x1004, 8), (0x1005, 4)];

/// Device status bits (virtio 1.2, 2.1).
const STATUS_ACKNOWLEDGE: u8 = 1;
const STATUS_DRIVER: u8 = 2;
const STATUS_DRIVER_OK: u8 = 4;
const STATUS_FEATURES_OK: u8 = 8;
const STATUS_FAILED: u8 = 128;

/// Value of a vector register: no interrupt.
const NO_VECTOR: u16 = 0xffff;
/// How long a reset may take.
const RESET_TIMEOUT: Duration = Duration::from_millis(100);
/// Reads of the status register that an interrupt handler has for seeing a reset through.
const RESET_READS: usize = 1000;
/// Tries to read a configuration that the device is changing.
const CONFIG_TRIES: usize = 100;

/// Structure types of the vendor capabilities (virtio 1.2, 4.1.4), and offsets in the capability.
const STRUCTURE_COMMON: u8 = 1;
const STRUCTURE_NOTIFY: u8 = 2;
const STRUCTURE_ISR: u8 = 3;
const STRUCTURE_DEVICE: u8 = 4;
const CAPABILITY_TYPE: u16 = 3;
const CAPABILITY_BAR: u16 = 4;
const CAPABILITY_OFFSET: u16 = 8;
const CAPABILITY_LENGTH: u16 = 12;
const CAPABILITY_NOTIFY_MULTIPLIER: u16 = 16;

/// The common configuration structure (virtio 1.2, 4.1.4.3).
#[derive(Registers)]
struct Common {
    #[at(0x00)]
    device_feature_select: ReadWrite<u32>,
    #[at(0x04)]
    device_feature: ReadOnly<u32>,
    #[at(0x08)]
    driver_feature_select: ReadWrite<u32>,
    #[at(0x0c)]
    driver_feature: ReadWrite<u32>,
    #[at(0x10)]
    config_msix_vector: ReadWrite<u16>,
    #[at(0x12)]
    num_queues: ReadOnly<u16>,
    #[at(0x14)]
    device_status: ReadWrite<u8>,
    #[at(0x15)]
    config_generation: ReadOnly<u8>,
    #[at(0x16)]
    queue_select: WriteOnly<u16>,
    #[at(0x18)]
    queue_size: ReadWrite<u16>,
    #[at(0x1a)]
    queue_msix_vector: ReadWrite<u16>,
    #[at(0x1c)]
    queue_enable: ReadWrite<u16>,
    #[at(0x1e)]
    queue_notify_offset: ReadOnly<u16>,
    #[at(0x20)]
    queue_descriptors: Address64,
    #[at(0x28)]
    queue_available: Address64,
    #[at(0x30)]
    queue_used: Address64,
}

/// A 64-bit address, written as two halves as the specification asks for.
#[derive(Registers)]
struct Address64 {
    #[at(0x0)]
    low: WriteOnly<u32>,
    #[at(0x4)]
    high: WriteOnly<u32>,
}

impl Address64 {
    fn write(&self, address: PhysAddr) {
        self.low.write(address.get() as u32);
        self.high.write((address.get() >> 32) as u32);
    }
}

/// Why a device cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VirtioError {
    /// The bus says no.
    Pci(PciError),
    /// No vendor capability describes that structure.
    NoStructure(&'static str),
    /// A structure is smaller than its registers.
    Structure(OutOfWindow),
    /// The device did not come out of reset in time.
    Reset,
    /// The device does not follow version 1 of the specification.
    NoVersion1,
    /// The device refused this choice of features.
    FeaturesRefused(u64),
    /// The device changes its configuration all the time.
    ConfigUnstable,
    /// The device's own configuration is too short for the field at this offset.
    ConfigTooShort(usize),
    /// The device has no such queue.
    NoQueue(u16),
    /// The size of a queue is not a power of two.
    QueueSize {
        /// The queue.
        queue: u16,
        /// The size the device gave.
        size: u16,
    },
    /// The device could not give the queue an interrupt.
    NoInterrupt(u16),
    /// The queue cannot be had.
    Queue(QueueError),
}

impl fmt::Display for VirtioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VirtioError::Pci(error) => write!(f, "{error}"),
            VirtioError::NoStructure(name) => write!(f, "the device does not say where its {name} structure is"),
            VirtioError::Structure(error) => write!(f, "{error}"),
            VirtioError::Reset => write!(f, "the device did not reset within {} ms", RESET_TIMEOUT.as_millis()),
            VirtioError::NoVersion1 => write!(f, "the device is older than virtio 1.0"),
            VirtioError::FeaturesRefused(features) => write!(f, "the device refused the features {features:#x}"),
            VirtioError::ConfigUnstable => write!(f, "the device's configuration does not stand still"),
            VirtioError::ConfigTooShort(offset) => write!(f, "the device's configuration has no field at {offset:#x}"),
            VirtioError::NoQueue(queue) => write!(f, "queue {queue} does not exist"),
            VirtioError::QueueSize { queue, size } => write!(f, "queue {queue}: size {size} is not a power of two"),
            VirtioError::NoInterrupt(queue) => write!(f, "queue {queue}: the device has no interrupt for it"),
            VirtioError::Queue(error) => write!(f, "{error}"),
        }
    }
}

impl From<PciError> for VirtioError {
    fn from(error: PciError) -> Self {
        VirtioError::Pci(error)
    }
}

impl From<OutOfWindow> for VirtioError {
    fn from(error: OutOfWindow) -> Self {
        VirtioError::Structure(error)
    }
}

impl From<QueueError> for VirtioError {
    fn from(error: QueueError) -> Self {
        VirtioError::Queue(error)
    }
}

/// The virtio device type of a function; None if it is no virtio device.
pub fn device_type(function: &Function) -> Option<u16> {
    if function.vendor != VENDOR {
        return None;
    }
    if MODERN_IDS.contains(&function.device) {
        return Some(function.device - MODERN_IDS.start());
    }
    TRANSITIONAL_IDS.iter().find(|(id, _)| *id == function.device).map(|(_, device_type)| *device_type)
}

/// Stops a device: a plain value, for interrupt handlers.
#[derive(Clone, Copy, Debug)]
pub struct ResetControl {
    status: ReadWrite<u8>,
}

impl ResetControl {
    /// Resets the device; true once it has let go of all queues and buffers, false if it does not say so at once.
    pub fn reset_now(self) -> bool {
        self.status.write(0);
        (0..RESET_READS).any(|_| self.status.read() == 0)
    }
}

/// Tells the device that a queue has new buffers: a plain value.
#[derive(Clone, Copy, Debug)]
pub struct Notifier {
    register: WriteOnly<u16>,
    queue: u16,
}

impl Notifier {
    /// Tells it.
    pub fn notify(self) {
        self.register.write(self.queue);
    }
}

/// A virtio device with its registers.
pub struct Transport {
    common: Common,
    notify: Window,
    notify_multiplier: u32,
    device: Option<Window>,
    interrupts: Interrupts,
    /// Without MSI-X, tells what the device's interrupt is for; reading it takes that away (virtio 1.2, 4.1.4.5).
    isr: Option<ReadOnly<u8>>,
    agreement: Agreement,
    _structures: (Mmio, Mmio, [Option<Mmio>; 2]),
    /// Lost after the device is reset (in `drop`).
    claim: Claim,
}

impl Transport {
    /// Finds the registers, resets the device and acknowledges it.
    pub fn open(mut claim: Claim) -> Result<Transport, VirtioError> {
        claim.enable_memory();
        let (common, _) = structure(&claim, STRUCTURE_COMMON, "virtio common configuration")?
            .ok_or(VirtioError::NoStructure("common configuration"))?;
        let (notify, at) = structure(&claim, STRUCTURE_NOTIFY, "virtio notifications")?
            .ok_or(VirtioError::NoStructure("notification"))?;
        let device = structure(&claim, STRUCTURE_DEVICE, "virtio device configuration")?.map(|(device, _)| device);
        let registers = Common::map(common.window())?;
        // Before its pin is switched on, which the device may hold since the firmware has used it.
        reset(&registers)?;
        let interrupts = claim.enable_interrupts()?;
        let isr = match interrupts.is_msix() {
            true => None,
            false => Some(
                structure(&claim, STRUCTURE_ISR, "virtio interrupt status")?
                    .ok_or(VirtioError::NoStructure("interrupt status"))?
                    .0,
            ),
        };
        let transport = Transport {
            common: registers,
            notify: notify.window(),
            notify_multiplier: claim.config().read_u32(at + CAPABILITY_NOTIFY_MULTIPLIER),
            device: device.as_ref().map(Mmio::window),
            interrupts,
            isr: isr.as_ref().map(|isr| ReadOnly::map(isr.window())).transpose()?,
            agreement: Agreement { device_type: device_type(claim.function()).unwrap_or(0), offered: 0, negotiated: 0 },
            _structures: (common, notify, [device, isr]),
            claim,
        };
        if transport.interrupts.is_msix() {
            // Changes of the configuration (a resized disk) are not followed, unless the driver asks for it.
            transport.common.config_msix_vector.write(NO_VECTOR);
        }
        transport.add_status(STATUS_ACKNOWLEDGE);
        transport.add_status(STATUS_DRIVER);
        Ok(transport)
    }

    /// Takes those of the `wanted` features that the device offers, version 1 in any case; the features in use.
    pub fn negotiate(&mut self, wanted: u64) -> Result<u64, VirtioError> {
        let offered = self.offered_features();
        self.agreement.offered = offered;
        if offered & feature::VERSION_1 == 0 {
            return Err(VirtioError::NoVersion1);
        }
        let features = offered & (wanted | feature::VERSION_1);
        for half in 0..2u32 {
            self.common.driver_feature_select.write(half);
            self.common.driver_feature.write((features >> (32 * half)) as u32);
        }
        self.add_status(STATUS_FEATURES_OK);
        if self.common.device_status.read() & STATUS_FEATURES_OK == 0 {
            return Err(VirtioError::FeaturesRefused(features));
        }
        self.agreement.negotiated = features;
        Ok(features)
    }

    /// What was agreed.
    pub fn agreement(&self) -> Agreement {
        self.agreement
    }

    /// How many queues the device has.
    pub fn queue_count(&self) -> u16 {
        self.common.num_queues.read()
    }

    /// How many interrupts it can raise.
    pub fn interrupt_count(&self) -> usize {
        self.interrupts.count()
    }

    /// Sets queue `index` up: at most `max_size` entries, with tables for `indirect_len` buffers a chain if indirect
    /// descriptors are in use, raising interrupt `entry`.
    pub fn set_up_queue<T>(
        &mut self,
        index: u16,
        max_size: u16,
        indirect_len: u16,
        entry: u16,
    ) -> Result<(Virtqueue<T>, Notifier), VirtioError> {
        let (size, notifier) = self.select_queue(index, max_size)?;
        let queue = Virtqueue::new(size, self.agreement.negotiated, indirect_len)?;
        self.enable_queue(index, size, queue.areas(), entry)?;
        Ok((queue, notifier))
    }

    /// The size of queue `index`, at most `max_size`, and what notifies it.
    fn select_queue(&self, index: u16, max_size: u16) -> Result<(u16, Notifier), VirtioError> {
        if index >= self.queue_count() {
            return Err(VirtioError::NoQueue(index));
        }
        self.common.queue_select.write(index);
        let size = match self.common.queue_size.read() {
            0 => return Err(VirtioError::NoQueue(index)),
            size if size.is_power_of_two() => size.min(max_size),
            size => return Err(VirtioError::QueueSize { queue: index, size }),
        };
        Ok((size, self.notifier(index)?))
    }

    /// Tells the device where the areas of the queue are that was selected last, which is `index`.
    fn enable_queue(&self, index: u16, size: u16, areas: Areas, entry: u16) -> Result<(), VirtioError> {
        self.common.queue_size.write(size);
        self.common.queue_descriptors.write(areas.descriptors);
        self.common.queue_available.write(areas.available);
        self.common.queue_used.write(areas.used);
        if self.interrupts.is_msix() {
            self.common.queue_msix_vector.write(entry);
            if self.common.queue_msix_vector.read() != entry {
                return Err(VirtioError::NoInterrupt(index));
            }
        }
        self.common.queue_enable.write(1);
        Ok(())
    }

    /// Has interrupt `entry` served by `handler`, on `cpu` where that can be chosen.
    pub fn connect(
        &mut self,
        entry: u16,
        name: &str,
        cpu: CpuId,
        handler: impl Fn() + Send + Sync + 'static,
    ) -> Result<IrqLine, VirtioError> {
        let isr = self.isr;
        let handler: Handler = Box::new(move || {
            let own = isr.is_none_or(|isr| isr.read() != 0);
            if own {
                handler();
            }
            own
        });
        Ok(self.interrupts.connect(entry, name, cpu, handler)?)
    }

    /// Has changes of the configuration raise interrupt `entry`, too, as they do without MSI-X; false if the device cannot
    /// do that.
    pub fn follow_config(&self, entry: u16) -> bool {
        if !self.interrupts.is_msix() {
            return true;
        }
        self.common.config_msix_vector.write(entry);
        self.common.config_msix_vector.read() == entry
    }

    /// Lets the device work.
    pub fn start(&mut self) {
        self.claim.set_bus_master(true);
        self.add_status(STATUS_DRIVER_OK);
    }

    /// For stopping the device out of an interrupt handler.
    pub fn reset_control(&self) -> ResetControl {
        ResetControl { status: self.common.device_status }
    }

    /// Reads fields of the device type's own configuration, all out of one generation of it.
    pub fn read_config<R>(&self, read: impl Fn(&DeviceConfig) -> Result<R, VirtioError>) -> Result<R, VirtioError> {
        let config = DeviceConfig { window: self.device };
        for _ in 0..CONFIG_TRIES {
            let before = self.common.config_generation.read();
            let value = read(&config)?;
            if self.common.config_generation.read() == before {
                return Ok(value);
            }
        }
        Err(VirtioError::ConfigUnstable)
    }

    fn offered_features(&self) -> u64 {
        let half = |number: u32| {
            self.common.device_feature_select.write(number);
            u64::from(self.common.device_feature.read()) << (32 * number)
        };
        half(0) | half(1)
    }

    fn notifier(&self, queue: u16) -> Result<Notifier, VirtioError> {
        let offset = u64::from(self.common.queue_notify_offset.read()) * u64::from(self.notify_multiplier);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Notifier { register: WriteOnly::map_at(self.notify, offset)?, queue })
    }

    fn add_status(&self, bits: u8) {
        self.common.device_status.modify(|status| status | bits);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let started = self.common.device_status.read() & STATUS_DRIVER_OK != 0;
        if reset(&self.common).is_err() || !started {
            self.add_status(STATUS_FAILED);
        }
    }
}

/// A device type's own configuration.
pub struct DeviceConfig {
    window: Option<Window>,
}

impl DeviceConfig {
    /// The field at `offset`.
    pub fn field<T: RegisterValue>(&self, offset: usize) -> Result<T, VirtioError> {
        let register = self.window.and_then(|window| window.try_register::<T>(offset));
        register.map(|register| register.read()).ok_or(VirtioError::ConfigTooShort(offset))
    }

    /// Writes the field at `offset`.
    pub fn set_field<T: RegisterValue>(&self, offset: usize, value: T) -> Result<(), VirtioError> {
        let register = self.window.and_then(|window| window.try_register::<T>(offset));
        register.map(|register| register.write(value)).ok_or(VirtioError::ConfigTooShort(offset))
    }

    /// The 64-bit field at `offset`, read as the specification asks for: in halves.
    pub fn field_u64(&self, offset: usize) -> Result<u64, VirtioError> {
        Ok(u64::from(self.field::<u32>(offset)?) | u64::from(self.field::<u32>(offset + 4)?) << 32)
    }
}

fn reset(common: &Common) -> Result<(), VirtioError> {
    common.device_status.write(0);
    let deadline = time::now() + RESET_TIMEOUT;
    while common.device_status.read() != 0 {
        if time::now() > deadline {
            return Err(VirtioError::Reset);
        }
        core::hint::spin_loop();
    }
    Ok(())
}

/// The first structure of type `kind` that lies in memory, and where in configuration space its capability is. One that
/// says it is in a reserved or I/O base address register is passed over, as the specification asks for.
fn structure(claim: &Claim, kind: u8, what: &'static str) -> Result<Option<(Mmio, u16)>, VirtioError> {
    let config = claim.config();
    for capability in claim.capabilities.iter().filter(|capability| capability.id == ID_VENDOR) {
        let at = capability.offset;
        let bar = config.read_u8(at + CAPABILITY_BAR);
        let in_memory = claim.bars.iter().any(|other| other.index == bar && other.kind != BarKind::Io);
        if config.read_u8(at + CAPABILITY_TYPE) != kind || !in_memory {
            continue;
        }
        let offset = config.read_u32(at + CAPABILITY_OFFSET);
        let len = config.read_u32(at + CAPABILITY_LENGTH) as usize;
        return Ok(Some((claim.map(bar, offset, len, what)?, at)));
    }
    Ok(None)
}
