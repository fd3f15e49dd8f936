"""Study 4: geometry of sampling."""
