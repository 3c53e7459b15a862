# The functions of nixpkgs' lib that the project uses: same names, same meanings.
rec {
  inherit (builtins)
    all any attrNames attrValues concatLists concatMap concatStringsSep elem filter foldl' genList head isFunction
    length listToAttrs map mapAttrs stringLength substring;

  # Values
  optional = c: x: if c then [ x ] else [ ];
  optionals = c: x: if c then x else [ ];
  optionalString = c: s: if c then s else "";
  optionalAttrs = c: a: if c then a else { };

  # Attribute sets
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
  mapAttrs' = f: a: listToAttrs (map (n: f n a.${n}) (attrNames a));
  mapAttrsToList = f: a: map (n: f n a.${n}) (attrNames a);
  filterAttrs = p: a: listToAttrs (filter (x: p x.name x.value) (mapAttrsToList nameValuePair a));

  # Strings
  concatMapStringsSep = s: f: l: concatStringsSep s (map f l);
  concatMapStrings = concatMapStringsSep "";
  concatStrings = concatStringsSep "";
  hasPrefix = p: s: substring 0 (stringLength p) s == p;
  hasSuffix = p: s:
    let n = stringLength s; m = stringLength p; in n >= m && substring (n - m) m s == p;
  removePrefix = p: s: if hasPrefix p s then substring (stringLength p) (-1) s else s;
  removeSuffix = p: s: if hasSuffix p s then substring 0 (stringLength s - stringLength p) s else s;
  toUpper = builtins.replaceStrings
    (builtins.filter (c: c != "" && c != [ ]) (builtins.split "" "abcdefghijklmnopqrstuvwxyz"))
    (builtins.filter (c: c != "" && c != [ ]) (builtins.split "" "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
  escapeShellArg = s: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString s)}'";
  escapeShellArgs = l: concatStringsSep " " (map escapeShellArg l);

  # Packages
  makeBinPath = l: concatStringsSep ":" (map (p: "${p}/bin") l);
  getExe' = p: n: "${p}/bin/${n}";
  getExe = p: getExe' p (p.meta.mainProgram or p.pname or p.name);
  callPackageWith = scope: fn: args:
    let f = if isFunction fn then fn else import fn;
    in f (builtins.intersectAttrs (builtins.functionArgs f) scope // args);
}
