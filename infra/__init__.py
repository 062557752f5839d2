"""How Assay runs for a team: servers, workers, deployments, schedules."""
