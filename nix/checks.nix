{ workspace }: workspace.checks
