//! Landlock: which files can be opened.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// Everything that any kernel can refuse; one that knows less refuses what it knows.
const NEWEST: ABI = ABI::V10;

/// Leaves `plugin` readable, and nothing else.
pub(super) fn restrict_to(plugin: &Path) -> Result<String, String> {
    let lacking = |why: &str| format!("{why}: it may read files while it is loaded");
    let failed = |error: &dyn std::fmt::Display| lacking(&format!("Landlock fails ({error})"));
    let file = PathFd::new(plugin).map_err(|error| failed(&error))?;
    let status = restrict(file).map_err(|error| failed(&error))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err(lacking("Landlock is switched off in this kernel"))
        }
        (RulesetStatus::NotEnforced, _) => Err(lacking("this kernel has no Landlock")),
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            Ok(format!("no files (Landlock {})", effective_abi as i32))
        }
        (_, _) => Ok("no files (Landlock)".to_owned()),
    }
}

fn restrict(plugin: PathFd) -> Result<RestrictionStatus, RulesetError> {
    let readable = PathBeneath::new(plugin, AccessFs::ReadFile);
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(readable)?
        .restrict_self()
}
