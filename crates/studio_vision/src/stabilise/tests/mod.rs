mod imu;
mod picture;
mod smoothing;
