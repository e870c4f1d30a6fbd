"""Earlier versions of our search spaces, so that studies made with them are shown, exported and retrained."""
