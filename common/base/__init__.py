"""The ground floor: errors, files, the journal of what is finished, settings, facts, decoding pictures, worker
processes, metrics. Nothing here knows of a stage."""
