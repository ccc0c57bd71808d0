//! The PC's speaker: channel 2 of the timer makes the tone, port 0x61 lets it out (IBM PC AT Technical Reference; Intel 8254).

use machine::io::{Port, PortClaim, PortError};

/// Clock of the timer, in Hz: a tone is this divided by its divisor.
pub const CLOCK_HZ: u32 = 1_193_182;

/// Channel 2, low and high byte of the divisor, square wave.
const SQUARE_WAVE: u8 = 0b1011_0110;
/// Bits of port 0x61: the channel counts, and its output goes to the speaker.
const GATE: u8 = 0b01;
const DATA: u8 = 0b10;
/// Its upper bits report errors and are not to be written.
const CONTROL: u8 = 0x0f;

/// The speaker.
pub struct Speaker {
    data: Port<u8>,
    command: Port<u8>,
    control: Port<u8>,
    _claims: [PortClaim; 2],
}

impl Speaker {
    /// Takes the speaker's ports. Whether a speaker is there cannot be known.
    pub fn open() -> Result<Self, PortError> {
        let timer = PortClaim::new(0x42..0x44, "speaker")?;
        let control = PortClaim::new(0x61..0x62, "speaker")?;
        Ok(Speaker { data: timer.port(0), command: timer.port(1), control: control.port(0), _claims: [timer, control] })
    }

    /// Starts the tone of this divisor of [`CLOCK_HZ`]; 0 is silence.
    pub fn tone(&mut self, divisor: u16) {
        let others = self.control.read() & CONTROL & !(GATE | DATA);
        if divisor == 0 {
            self.control.write(others);
            return;
        }
        self.command.write(SQUARE_WAVE);
        let [low, high] = divisor.to_le_bytes();
        self.data.write(low);
        self.data.write(high);
        self.control.write(others | GATE | DATA);
    }
}
