"""An oracle that only an attested app feeds."""
