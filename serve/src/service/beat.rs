//! What the service does every second: figures, heat, models that nobody uses.

use std::time::Duration;

use siskin_device::energy::{Meter, Pmic};
use siskin_device::probe::Root;

use crate::app::App;
use crate::engine::Heat;
use crate::heat::{Governor, Sensor};
use crate::journal::{Journal, Level};
use crate::notify::{self, Notifier, Pulse};

const SECOND: Duration = Duration::from_secs(1);
/// Seconds between two looks at the temperature, and between two lines for systemd.
const SELDOM: u64 = 5;

/// What it needs.
pub(super) struct Beat<'s> {
    pub(super) app: &'s App,
    pub(super) notifier: &'s Notifier,
    pub(super) journal: &'s Journal,
    pub(super) meter: Option<&'s Meter>,
    pub(super) idle_unload: Option<Duration>,
    pub(super) idle_exit: Option<Duration>,
}

impl Beat<'_> {
    /// Until the service has been idle for so long that it ends.
    pub(super) async fn run(&self) {
        let usec = std::env::var("WATCHDOG_USEC").ok();
        let pid = std::env::var("WATCHDOG_PID").ok();
        let interval = notify::watchdog_interval(usec.as_deref(), pid.as_deref(), std::process::id());
        let pulse = || Pulse {
            beats: self.app.engine.beats(),
            idle: false,
        };
        match interval {
            Some(interval) => tokio::select! {
                never = notify::watch(self.notifier, interval, pulse) => match never {},
                () = self.tick() => {}
            },
            None => self.tick().await,
        }
    }

    async fn tick(&self) {
        let sensor = Sensor::find(Root::system());
        let mut governor = Governor::new();
        let mut heat = Heat::default();
        let mut was_hot = false;
        for second in 0u64.. {
            if second % SELDOM == 0 {
                governor.observe(sensor.as_ref().and_then(Sensor::read));
                heat.celsius = governor.sample().map(|sample| sample.celsius);
                heat.rest = 1.0 - governor.duty();
                self.app.engine.set_heat(heat);
                let metrics = &self.app.metrics;
                metrics.temperature.set(heat.celsius);
                metrics.duty.set(governor.duty());
                let reason = governor.reason();
                if reason.is_some() != was_hot {
                    was_hot = reason.is_some();
                    match reason {
                        Some(reason) => self.journal.log(Level::Warning, reason),
                        None => self
                            .journal
                            .log(Level::Info, "cool again: the service computes all the time"),
                    }
                }
                self.notifier.status(&self.app.status());
            }
            if let Some(Meter::Pmic(pmic)) = self.meter
                && !self.app.engine.is_idle()
            {
                heat.watts = watts(pmic).await;
                self.app.engine.set_heat(heat);
            }
            if let Some(after) = self.idle_unload {
                self.app.models.unload_idle(after);
            }
            if self
                .idle_exit
                .is_some_and(|after| self.app.engine.idle_time() >= after)
            {
                return;
            }
            tokio::time::sleep(SECOND).await;
        }
    }
}

/// Asks the power chip, which takes milliseconds, apart from the thread that serves.
async fn watts(pmic: &Pmic) -> Option<f64> {
    let pmic = pmic.clone();
    tokio::task::spawn_blocking(move || pmic.watts()).await.ok()?
}
