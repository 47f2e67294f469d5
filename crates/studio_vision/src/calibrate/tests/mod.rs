mod boards;
mod charuco;
mod film;
mod orah;
mod virtual_rig;
