//! Telling systemd how the process is doing (sd_notify(3)); nothing where it was not started by systemd.

use sd_notify::NotifyState;

/// It serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] follows, whatever comes of it.
pub(super) fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    tell(&states);
}

/// It drains.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(event = "systemd", %error, "systemd was not told");
    }
}
