# Completion of reve for PowerShell 5.1 and later. In $PROFILE:
#     reve --show-completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName reve -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
        else { $_.Extent.Text }
    })
    $command = $words[0]
    $words = @($words | Select-Object -Skip 1)
    $word = "$wordToComplete".Trim([char[]]"`"'")

    $lines = @()
    try {
        $env:_REVE_COMPLETE = 'words'
        $env:_REVE_COMPLETE_WORD = $word
        $lines = @(& $command @words 2>$null)
    } catch {
    } finally {
        Remove-Item Env:_REVE_COMPLETE, Env:_REVE_COMPLETE_WORD -ErrorAction SilentlyContinue
    }

    if ($lines.Count -eq 0) {
        return '' # without it PowerShell completes file names
    }
    if ($lines[0] -eq ':files') {
        $option = if ($word -match '^--[^=]*=') { $Matches[0] } else { '' }
        $path = $word.Substring($option.Length)
        foreach ($file in [System.Management.Automation.CompletionCompleters]::CompleteFilename($path)) {
            [System.Management.Automation.CompletionResult]::new(
                $option + $file.CompletionText, $file.ListItemText, $file.ResultType, $file.ToolTip)
        }
        return
    }
    foreach ($line in $lines) {
        $value, $help = $line -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
    }
}
