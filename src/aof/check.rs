//! redis-check-aof.
