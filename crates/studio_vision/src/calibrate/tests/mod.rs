mod boards;
mod orah;
mod virtual_rig;
