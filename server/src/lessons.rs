//! A thread that counts answers whose usage is known, so that endpoints without usage can be estimated; off the hot path,
//! and skipped when it cannot keep up.

use gateway::calibration::Calibration;
use gateway::meter::Lesson;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};

#[derive(Clone)]
pub struct Lessons {
    sender: SyncSender<(Lesson, Arc<Calibration>)>,
}

const WAITING_MAX: usize = 512;

impl Lessons {
    /// The thread ends with the last clone.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel::<(Lesson, Arc<Calibration>)>(WAITING_MAX);
        std::thread::Builder::new()
            .name("token-lessons".to_owned())
            .spawn(move || {
                for (lesson, calibration) in receiver {
                    lesson.teach(&calibration);
                }
            })?;
        Ok(Self { sender })
    }

    pub fn give(&self, lesson: Lesson, calibration: &Arc<Calibration>) {
        // One lesson less does no harm.
        let _skipped = self.sender.try_send((lesson, Arc::clone(calibration)));
    }
}
