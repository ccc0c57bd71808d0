//! Ports of virtio consoles: those that are consoles are terminals (`tty`), the others plain nodes `/dev/vportNpM` (`raw`).
//!
//! A task for each device does what the device tells and brings the terminals what comes in.

mod raw;

use crate::tty::PortTerminal;
use crate::{device, sched};
use alloc::vec::Vec;
use drivers::console::{Event, VirtioConsole};
pub use raw::MAJOR;

/// A port as programs see it.
#[derive(Default)]
struct Place {
    terminal: Option<PortTerminal>,
    has_node: bool,
}

/// Starts the tasks of all consoles.
pub fn init() {
    for (index, device) in device::consoles() {
        if sched::spawn("virtio console", move || serve(index, device)).is_err() {
            log::warn!("virtio console: no memory for its task");
        }
    }
}

/// The task of the device that is number `index` of the virtio devices.
fn serve(index: usize, device: &'static VirtioConsole) {
    if let Err(error) = device.begin() {
        log::warn!("virtio console: {error}");
        return;
    }
    let mut places: Vec<Place> = device.ports().iter().map(|_| Place::default()).collect();
    let mut window = None;
    loop {
        while let Some((port, event)) = device.next_event() {
            places[port].follow(device, (index, port), event);
        }
        let before = core::mem::replace(&mut window, device.window());
        for terminal in places.iter().filter_map(|place| place.terminal.as_ref()) {
            if let Some(window) = window.filter(|_| window != before) {
                terminal.resize(window);
            }
            terminal.attend();
        }
        device.wait();
    }
}

impl Place {
    /// Does what the device tells of port `number`.
    fn follow(&mut self, device: &'static VirtioConsole, number: (usize, usize), event: Event) {
        let terminal = self.terminal.as_ref();
        match event {
            Event::Added if !self.has_node => {
                raw::make_node(device, number);
                self.has_node = true;
            }
            Event::Console if terminal.is_none() => {
                self.terminal = PortTerminal::new(device, &device.ports()[number.1]);
            }
            Event::Added | Event::Console => {}
            Event::Resized(window) => terminal.into_iter().for_each(|terminal| terminal.resize(window)),
            Event::Closed => terminal.into_iter().for_each(PortTerminal::hang_up),
        }
    }
}
