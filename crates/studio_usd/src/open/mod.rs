//! Opening a stage within budgets: layers from any source, nothing outside of it, errors with their layer and line.
