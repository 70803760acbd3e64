//! The training loop: recipes, schedules, checkpoints, evaluation.
