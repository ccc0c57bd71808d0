//! The bell of the terminals on the screen, and tones that programs ask for: a tone on the speaker, ended by a task.
//!
//! Lock: `TONE` (rank Device), for moments.

use crate::sched;
use core::time::Duration;
use drivers::speaker::{CLOCK_HZ, Speaker};
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::time::{self, Instant};

/// The bell's tone and length: Linux's.
const BELL_HZ: u32 = 750;
const BELL_LENGTH: Duration = Duration::from_millis(125);

static TONE: SpinLock<Option<Tone>> = SpinLock::new("speaker", Rank::Device, None);
static STARTED: WaitQueue = WaitQueue::new("tone of the speaker");

struct Tone {
    speaker: Speaker,
    /// When what sounds now is to end.
    end: Option<Instant>,
}

/// Takes the speaker, and starts the task that ends tones.
pub(super) fn start() {
    let speaker = match Speaker::open() {
        Ok(speaker) => speaker,
        Err(error) => {
            log::info!("speaker: {error}");
            return;
        }
    };
    if sched::spawn("speaker", || serve()).is_err() {
        log::warn!("speaker: no memory for its task");
        return;
    }
    *TONE.lock() = Some(Tone { speaker, end: None });
}

/// Rings the bell.
pub(super) fn ring() {
    tone((CLOCK_HZ / BELL_HZ) as u16, Some(BELL_LENGTH));
}

/// Starts a tone of this divisor of the timer's clock, 0 being silence, for so long; without a length until the next one.
pub fn tone(divisor: u16, length: Option<Duration>) {
    if let Some(tone) = TONE.lock().as_mut() {
        tone.speaker.tone(divisor);
        tone.end = length.filter(|_| divisor > 0).map(|length| time::now() + length);
    }
    STARTED.wake_all();
}

/// When the tone ends that sounds now, if it does.
fn end() -> Option<Instant> {
    TONE.lock().as_ref()?.end
}

fn serve() -> ! {
    loop {
        let due = STARTED.wait(end);
        // Another tone may begin meanwhile.
        let _ = STARTED.wait_until(Some(due), || false, || (end() != Some(due)).then_some(()));
        if let Some(tone) = TONE.lock().as_mut()
            && tone.end.is_some_and(|end| end <= time::now())
        {
            tone.speaker.tone(0);
            tone.end = None;
        }
    }
}
