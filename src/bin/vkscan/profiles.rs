//! Which tuning sessions go by: a profile that `vkscan tune` wrote, or what is built in.

use std::io;
use std::path::PathBuf;

use vkscan::{Backend, DeviceInfo, Tuning, TuningError, TuningProfile};

use crate::args::ProfileArgs;
use crate::kept;
use crate::terminal;

/// Where the profile of a device is kept.
pub fn path(info: &DeviceInfo) -> io::Result<PathBuf> {
    Ok(kept::folder()?.join(format!("profile-{}.json", info.uuid)))
}

/// A tuning, and where it comes from.
pub struct Chosen {
    /// None where it is the built-in one.
    pub tuning: Option<Tuning>,
    pub from: String,
}

/// The profile that is asked for; or the device's own, if one is kept that was measured with this driver and these kernels: it is
/// left out with a warning otherwise.
pub fn choose(args: &ProfileArgs, info: &DeviceInfo) -> Result<Chosen, String> {
    let built_in = || Chosen { tuning: None, from: "built in".to_owned() };
    if args.no_profile {
        return Ok(built_in());
    }
    let (path, is_asked_for) = match (&args.profile, path(info)) {
        (Some(path), _) => (path.clone(), true),
        (None, Ok(path)) => (path, false),
        (None, Err(_)) => return Ok(built_in()),
    };
    let read = || {
        let profile = TuningProfile::read(&path)?;
        Ok((profile.tuning(info)?, profile.note().to_owned()))
    };
    let shown = terminal::path(&path);
    match read() {
        Ok((tuning, note)) => {
            tracing::info!("tuned by {shown}: {note}");
            Ok(Chosen { tuning: Some(tuning), from: format!("{shown}: {note}") })
        }
        Err(TuningError::File(error))
            if !is_asked_for && error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(built_in())
        }
        Err(error) if is_asked_for => Err(format!("{shown}: {error}")),
        Err(error) => {
            tracing::warn!("the tuning profile {shown} is left out: {error}");
            Ok(built_in())
        }
    }
}

/// As [`choose`], for sessions on several devices: what is built in where each has another.
pub fn choose_for(args: &ProfileArgs, backends: &[Backend]) -> Result<Chosen, String> {
    let chosen = backends.iter().map(|backend| choose(args, backend.device_info()));
    let mut chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    if !chosen.windows(2).all(|pair| pair[0].tuning == pair[1].tuning) {
        tracing::warn!("the devices have different tuning profiles: all go by what is built in");
        return Ok(Chosen { tuning: None, from: "built in".to_owned() });
    }
    Ok(chosen.swap_remove(0))
}
