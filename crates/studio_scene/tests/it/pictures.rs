//! Pictures of stages: what people see.
