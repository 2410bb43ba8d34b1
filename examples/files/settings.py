"""Settings of an example shop. None of these credentials is real."""

import os

DEBUG = False
TIMEOUT_SECONDS = 30
ALLOWED_HOSTS = ["shop.example.com", "127.0.0.1"]

# Read from the environment, as it should be.
SESSION_SECRET = os.environ["SESSION_SECRET"]

# Left behind by somebody in a hurry.
MAIL_PASSWORD = "example-only-42"
MAPS_KEY = "AIzaEXAMPLEexampleEXAMPLEexampleEXAMPLE"
